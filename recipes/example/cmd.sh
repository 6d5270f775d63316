# This file sets the dispatcher that runs the jobs of all stages, and the resources of a job.
# path.sh sets $root. bin/recipe.sh reads the arrays $cmd and $train_cmd.
# shellcheck shell=bash disable=SC2034,SC2154
: "${dispatcher:=$root/bin/local.sh}" # on a Slurm cluster: $root/bin/slurm.sh
cmd=("$dispatcher" --mem 4)
train_cmd=("$dispatcher" --mem 4 --num-threads 2) # jobs that run the network
