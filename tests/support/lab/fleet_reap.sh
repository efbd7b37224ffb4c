#!/bin/sh
# Waits until its stdin closes, then removes the network $1 and the containers whose names begin with it. Until then it holds the
# file $2, by which scripts/container-lab.sh knows that its engine is in use.
exec 8>"$2"
flock -s 8
cat >/dev/null
containers=$(docker ps --all --quiet --filter "name=^/$1-")
# shellcheck disable=SC2086 # a list of words
[ -z "$containers" ] || docker rm -f -v $containers
docker network rm "$1"
exit 0
