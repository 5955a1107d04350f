# Makes a directory that is removed at the end of this connection, in the first of the places $@ that can have one.
for place in "$@"; do
  [ -d "$place" ] && [ -w "$place" ] || continue
  place=$(cd -P -- "$place" && pwd -P) || continue
  why=$(examine "$place" "")
  if [ -n "$why" ]; then say refused "$why"; continue; fi
  dir=$(mktemp -d -- "$place/mgmt-XXXXXXXXXX" 2>/dev/null) || continue
  if printf '#!/bin/sh\nexit 0\n' >"$dir/try" && chmod 700 "$dir/try" && "$dir/try"; then
    rm -f -- "$dir/try"
    once=$dir
    say place "$dir"
    break
  fi 2>/dev/null
  rm -rf -- "$dir"
  say refused "$place: programs can't be run there"
done
