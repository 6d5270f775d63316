# Where the stages run: the dispatcher that every stage calls, an array of words.
# shellcheck shell=bash disable=SC2034,SC2154  # path.sh sets root, and bin/recipe.sh reads cmd
cmd=("$root/bin/local.sh")
