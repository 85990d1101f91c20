#!/bin/bash
# Makes the folder to compile in: this module, and beside it lego with dns/ in the place of its DNS providers.
# usage: source.sh FOLDER LEGO-VERSION
set -euo pipefail
cd "$(dirname "$0")"
folder=$1

mkdir -p "$folder"
cp go.mod "$folder/"
[ ! -f go.sum ] || cp go.sum "$folder/"
# Outside of a module: here lego is what this script makes.
lego=$(cd / && go mod download -json "github.com/go-acme/lego/v4@$2" | jq -r .Dir)
cp -r --no-preserve=mode "$lego" "$folder/lego"
rm "$folder"/lego/providers/dns/*.go
cp dns/providers.go "$folder/lego/providers/dns/"
