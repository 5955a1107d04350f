#!/bin/sh
# Passes a question of ssh to the program that started it, and prints its answer.
umask 077
mkfifo "$MGMT_ASK/a.$$" && [ -p "$MGMT_ASK/q" ] || exit 1
trap 'rm -f "$MGMT_ASK/a.$$"' EXIT
trap 'exit 1' HUP INT TERM
printf '%s\n%s\n%s\0' "$$" "$SSH_ASKPASS_PROMPT" "$1" >"$MGMT_ASK/q"
IFS= read -r a <"$MGMT_ASK/a.$$" || exit 1
case $a in 0*) printf '%s\n' "${a#0}" ;; *) exit 1 ;; esac
