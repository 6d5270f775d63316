# Sets the dispatcher that all stages call, and the resources of a job, as arrays of words.
# path.sh sets root, and bin/recipe.sh reads cmd and train_cmd.
# shellcheck shell=bash disable=SC2034,SC2154
: "${dispatcher:=$root/bin/local.sh}" # on a Slurm cluster: $root/bin/slurm.sh
cmd=("$dispatcher" --mem 4)
train_cmd=("$dispatcher" --mem 16 --num-threads 4) # jobs that run the network
