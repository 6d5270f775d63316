# run.sh and each stage source this file. It sets the options of the recipe, and finds the Python
# environment.
# bin/recipe.sh sets some of the variables that this file reads. Scripts that source this file read
# the variables that it sets.
# shellcheck shell=bash disable=SC2034,SC2154
recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -- "$recipe/../.." && pwd)

option_names='stage stop_stage exp metadata audio subset frontend config system'
option_names+=' num_valid shards jobs gpus bootstrap seed'
option_names+=' dcase_metadata dcase_audio dcase_num_valid model'
option_names+=' lists_url ontology_url download_jobs dry_run'
stage=1
stop_stage=
exp=$recipe/exp
metadata=
audio=()
subset=balanced
frontend=$recipe/conf/frontend_wang.yaml
config=$recipe/conf/talnet_linear.yaml
system=
num_valid=2000
shards=2
jobs=2
gpus=1
bootstrap=100
seed=0
dcase_metadata=
dcase_audio=()
dcase_num_valid=1142
model=
lists_url=http://storage.googleapis.com/us_audioset/youtube_corpus/v1/csv
ontology_url=https://raw.githubusercontent.com/audioset/ontology/master
download_jobs=4
dry_run=false

. "$root/bin/recipe.sh" "$@"

download=$exp/download
if [ -z "$metadata" ]; then metadata=$download/metadata; fi
if [ ${#audio[@]} -eq 0 ]; then audio=("$download/audio"); fi
if [ ${#dcase_audio[@]} -eq 0 ]; then dcase_audio=("$download/dcase_audio"); fi
expect_number shards 1
if [ -z "$stop_stage" ]; then
    stop_stage=9
    if [ -n "$dcase_metadata" ] || [ "$stage" = 10 ]; then stop_stage=10; fi
fi
feats=$exp/feats
dcase=$exp/dcase # stage 10 runs recipes/dcase2017 in this experiment directory
target=$dcase/$system # the model directory in $dcase
dcase_sets='test eval'

# Run a program in the folder local/, and write a log.
# Usage: logged_program NN_name PROGRAM.py ARGUMENT...
logged_program() {
    local log=$exp/log/$1.log program=$recipe/local/$2
    shift 2
    guarded "${cmd[@]}" "$log" python3 "$program" "$@"
}
