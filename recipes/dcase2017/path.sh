# run.sh and each stage source this file. It sets the options of the recipe, and finds the Python
# environment.
# bin/recipe.sh sets some of the variables that this file reads. Scripts that source this file read
# the variables that it sets.
# shellcheck shell=bash disable=SC2034,SC2154
recipe=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
root=$(cd -- "$recipe/../.." && pwd)

option_names='stage stop_stage exp metadata audio frontend config system num_valid'
option_names+=' jobs gpus bootstrap seed published metadata_url download_jobs dry_run'
stage=1
stop_stage=9
exp=$recipe/exp
metadata=
audio=()
frontend=
config=$recipe/conf/crnn_linear.yaml
system=
model=
num_valid=1142
jobs=2
gpus=1
bootstrap=1000
seed=0
published=false
metadata_url=https://raw.githubusercontent.com/ankitshah009/Task-4-Large-scale-weakly-supervised-sound-event-detection-for-smart-cars/master
download_jobs=4
dry_run=false

. "$root/bin/recipe.sh" "$@"

if [ -z "$metadata" ]; then metadata=$exp/download/metadata; fi
if [ ${#audio[@]} -eq 0 ]; then audio=("$exp/download/audio"); fi
if [ -z "$frontend" ]; then
    case $(basename -- "$config") in
        gated_*) frontend=$recipe/conf/frontend_he.yaml ;;
        *) frontend=$recipe/conf/frontend_wang.yaml ;;
    esac
fi
feats=$(basename -- "$frontend")
feats=$exp/feats/${feats%.yaml} # a separate folder for each front end

# Print which of the sets have audio. Fail if no set has audio. Usage: sets_of NAME...
sets_of() {
    local set found=
    for set in "$@"; do
        if [ -f "$data/$set/clips.tsv" ]; then found+="$set "; fi
    done
    if [ -z "$found" ]; then
        echo "$(basename -- "$0"): $data: none of these sets has audio: $*; run stage 1" >&2
        return 1
    fi
    echo "$found"
}
