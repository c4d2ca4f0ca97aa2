# What main.go shows, for annals dev --ephemeral -- sh examples/replay/demo.sh
set -eu
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/" ./cmd/annals ./examples/replay
"$bin/replay" run first
for version in first careless careful; do
  echo "--- the code of $version"
  "$bin/annals" replay --type Order --check "$bin/replay" "$version" && status=0 || status=$?
  echo "exit code $status"
done
