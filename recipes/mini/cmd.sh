# Where the stages run: the dispatcher that every stage calls, and what a job may take, as arrays of words.
# shellcheck shell=bash disable=SC2034,SC2154  # path.sh sets root, and bin/recipe.sh reads cmd and train_cmd
: "${dispatcher:=$root/bin/local.sh}" # on a Slurm cluster: $root/bin/slurm.sh
cmd=("$dispatcher" --mem 4)
train_cmd=("$dispatcher" --mem 4 --num-threads 2) # the network's jobs
