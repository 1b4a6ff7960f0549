#!/usr/bin/env bash
# All stages on a config. Every value of every stage is checked first, before anything is fetched, drawn or computed.
#
#   scripts/pipeline.sh [CONFIG] [--set SECTION.KEY=VALUE]… [--force] [--device auto|cpu|cuda:N] [-q|-v]
set -euo pipefail

here=$(dirname "$0")
bin=${BIN:-$here/../target/release}
arguments=("$@")

# run PROGRAM [COMMAND…]: on the config and with the arguments of this script.
run() { "$here/with-config.sh" "$bin/$1" "${@:2}" -- "${arguments[@]}"; }

preview=$(mktemp)
trap 'rm -f "$preview"' EXIT
run dataset preview "$preview"
for stage in text train evaluate; do run $stage --check --preview "$preview"; done
for stage in tune preprocess; do run $stage weights > /dev/null; done
for stage in tune preprocess; do run $stage --check; done

# The vocabulary comes before the networks: whatever can be refused is refused early.
for stage in dataset text tune preprocess train evaluate; do run $stage; done

# Where it all lies: `artifacts status` wants the config and the settings alone.
where=()
for ((at = 0; at < ${#arguments[@]}; at++)); do
    case ${arguments[at]} in
        --set) where+=(--set "${arguments[++at]}") ;;
        --set=*) where+=("${arguments[at]}") ;;
        -*) ;;
        *) [ $at -gt 0 ] || where+=("${arguments[at]}") ;;
    esac
done
folder=$("$here/with-config.sh" "$bin/artifacts" status -- "${where[@]}" | sed -n 's#^\(.*\)/dataset .*#\1#p')
echo
echo "What next:"
for report in "$folder"/evaluate/*/*/report.html; do
    [ -e "$report" ] && echo "  $report"
done
cat <<NEXT
      open one in a browser: scores, captions, and where the model looked for each word
  just caption photo.jpg
      captions of your own photos and videos
  just serve
      a page to try it and an API, on http://127.0.0.1:8501
  just export $folder
      one file that captions, to keep or to pass on
NEXT
