# Writes the rest of the input to DIR/SHA/NAME, if it has this SHA-256.
cd -P -- "$mgmt_dir" || exit 1
new=$mgmt_sha/.new-$mgmt_n
trap 'rm -f -- "$new"' EXIT
trap 'exit 1' HUP INT TERM PIPE
set -C
# Where the connection is dead, the rest does not come, and the system may notice that hours later.
limit=
! timeout 9 true 2>/dev/null || limit="timeout $LIMIT"
if why=$( { mkdir -p -- "$mgmt_sha" && $limit $UNPACK >"$new"; } 2>&1 ); then
  if [ "$(digest "$new")" = "$mgmt_sha" ]; then
    chmod 700 "$new"
    # What it is linked with and what is not there: it would not start.
    lacks=$(LC_ALL=C ldd "$new" 2>/dev/null </dev/null | while read -r library arrow path; do
      [ "$path" != 'not found' ] || printf ' %s' "$library"
    done)
    if [ -n "$lacks" ]; then
      say lacks "${lacks# }"
      exit 1
    fi
    mv -f -- "$new" "$mgmt_sha/$mgmt_name" && say copied
    find "$mgmt_sha" -name '.new-*' -mtime +0 -exec rm -f -- {} + 2>/dev/null
    # Others that were not used for 30 days are not needed any more.
    for old in *; do
      if [ "${#old}" = 64 ] && [ -n "$(find "$old" -prune -mtime +30 2>/dev/null)" ]; then rm -rf -- "$old"; fi
    done
  else
    say damaged
  fi
else
  why=${why##*: }
  say failed "${why:-it takes longer than $LIMIT s}"
fi
