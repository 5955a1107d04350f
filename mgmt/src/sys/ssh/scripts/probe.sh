# What this machine is, and where the executable SHA/NAME of SIZE_KB kilobytes is or can be.
US=$(id -u)
USER_NAME=$(id -un 2>/dev/null)
root=
[ "$US" != 0 ] || root=/var/cache/mgmt/executables

mgmt_tool=
for tool in sha256sum shasum openssl; do
  [ -n "$mgmt_tool" ] || ! command -v "$tool" >/dev/null 2>&1 || mgmt_tool=$tool
done

facts() {
  say hello "$US" "$USER_NAME"
  say system "$(uname -s)"
  say machine "$(uname -m)"
  if libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) && [ -n "$libc" ]; then
    say libc "$libc"
  else
    case $(ldd --version 2>&1 </dev/null) in *musl*) say libc musl ;; esac
  fi
  [ -z "$INTERPRETER" ] || [ -e "$INTERPRETER" ] || say lacks "$INTERPRETER"
  say tool "$mgmt_tool"
  ! command -v gzip >/dev/null 2>&1 || say gzip
}

# Whether no other user can change what is below the physical path $1, which with $2 must be ours: what is wrong, if
# anything.
examine() {
  way=$1 first=$2
  while :; do
    set -f
    set -- $(LC_ALL=C ls -ldn -- "${way:-/}" 2>/dev/null)
    set +f
    case $1 in d*) ;; *) printf "%s can't be examined" "${way:-/}"; return 0 ;; esac
    if [ -n "$first" ] && [ "$3" != "$US" ]; then
      printf '%s belongs to user %s, so what it has could be planted' "$way" "$3"
      return 0
    elif [ "$3" != "$US" ] && [ "$3" != 0 ]; then
      printf '%s belongs to user %s, who can swap what is below it' "${way:-/}" "$3"
      return 0
    fi
    case $1 in
      ?????????[tT]*) ;;
      ????????w*) printf '%s can be written by all users' "${way:-/}"; return 0 ;;
      ?????w*)
        # A group of a user's own is no other user.
        group=$(getent group "$4" 2>/dev/null || grep "^[^:]*:[^:]*:$4:" /etc/group 2>/dev/null)
        case $group in
          "$USER_NAME":*:"$4": | "$USER_NAME":*:"$4":"$USER_NAME" | root:*:0: | root:*:0:root) ;;
          *) printf '%s can be written by the group %s' "${way:-/}" "$4"; return 0 ;;
        esac ;;
    esac
    [ -n "$way" ] || return 0
    way=${way%/*} first=
  done
}

# Makes the directory $1 ours, and reports whether it can hold and run the executable.
look() {
  dir=$1
  case $dir in /*) ;; *) return 0 ;; esac
  case $dir in *[[:cntrl:]]*) return 0 ;; esac
  if ! why=$(LC_ALL=C mkdir -p -- "$dir" 2>&1); then say refused "$dir: ${why##*: }"; return 0; fi
  if ! cd -P -- "$dir" 2>/dev/null; then say refused "$dir can't be entered"; return 0; fi
  dir=$(pwd -P)
  [ "$dir" != / ] || return 0
  chmod 700 . 2>/dev/null
  why=$(examine "$dir" ours)
  if [ -n "$why" ]; then say refused "$why"; return 0; fi
  if [ -f "$mgmt_sha/$mgmt_name" ] && [ -x "$mgmt_sha/$mgmt_name" ] && [ -n "$CACHING" ]; then say have "$number $dir"; return 1; fi
  if ! why=$( { printf '#!/bin/sh\nexit 0\n' >".try-$mgmt_n" && chmod 700 ".try-$mgmt_n"; } 2>&1 ); then
    rm -f ".try-$mgmt_n"
    say refused "$dir can't be written: ${why##*: }"
    return 0
  fi
  if ! why=$("./.try-$mgmt_n" 2>&1); then
    rm -f ".try-$mgmt_n"
    say refused "$dir: programs can't be run there: ${why##*: }"
    return 0
  fi
  rm -f ".try-$mgmt_n"
  set -f
  set -- $(LC_ALL=C df -Pk . 2>/dev/null | tail -n 1)
  set +f
  case $4 in
    '' | *[!0-9]*) ;;
    *) if [ "$4" -lt "$SIZE_KB" ]; then say refused "$dir: only $4 KiB are free, and $SIZE_KB KiB are needed"; return 0; fi ;;
  esac
  say place "$number $dir"
  return 1
}

# Looks at the places behind the one of number $1, up to the first that is right.
search() {
  number=0
  for place in "${XDG_CACHE_HOME:+$XDG_CACHE_HOME/mgmt/executables}" "${HOME:+$HOME/.cache/mgmt/executables}" \
    "$root" "${XDG_RUNTIME_DIR:+$XDG_RUNTIME_DIR/mgmt/executables}"; do
    number=$((number + 1))
    [ "$number" -le "$1" ] || [ -z "$place" ] || (look "$place") || break
  done
}

# In one piece: a second one would have to wait until the first has arrived.
reports=$(facts; search 0)
if [ -n "$EARLY" ]; then
  # Where the executable is there already, it begins at once; the input behind this script is its own.
  case $reports in
    *"
mgmt:$mgmt_n:have "*)
      mgmt_dir=${reports##*"
mgmt:$mgmt_n:have "}
      mgmt_dir=${mgmt_dir%%"
"*}
      mgmt_dir=${mgmt_dir#* }
      if [ "$(digest "$mgmt_dir/$mgmt_sha/$mgmt_name")" = "$mgmt_sha" ]; then
        printf '%s\n%s\n' "$reports" "$(say started)"
        launch "$@"
      fi ;;
  esac
  # That input comes again.
  [ "$EARLY" = 0 ] || dd bs=1 count="$EARLY" of=/dev/null 2>/dev/null
fi
printf '%s\n%s\n' "$reports" "$(say end)"
# What has to be removed when this connection ends.
once=
trap '[ -z "$once" ] || rm -rf -- "$once"' EXIT
trap 'exit 1' HUP INT TERM PIPE
# Further scripts, a line each. An empty line comes now and then as a sign of life: without any line for LEASE seconds,
# the connection is dead, which the system may notice hours later.
next='IFS= read -r s && printf "%s\n" "$s"'
if timeout 9 true 2>/dev/null; then next_line() { timeout "$LEASE" /bin/sh -c "$next"; }; else next_line() { eval "$next"; }; fi
while s=$(next_line); do
  [ -n "$s" ] || continue
  eval "$(printf %b "$s")"
  say end
done
