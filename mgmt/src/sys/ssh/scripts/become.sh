# Continues as the user BECOME, by sudo, with the next line as the script.
umask "$mgmt_umask"
sudo_to() { exec sudo "$@" -H -u "$BECOME" -- /bin/sh -c "$INNER"; }
if [ "$(id -un 2>/dev/null)" = "$BECOME" ] || [ "$(id -u)" = "$BECOME" ]; then
  say became
  IFS= read -r s && eval "$(printf %b "$s")"
elif [ -n "$STAY" ]; then
  # Whether it may is asked first: after the script, a status of its own could not be told from one of sudo.
  sudo -n -H -u "$BECOME" -- /bin/sh -c : </dev/null && sudo_to -n
  say sudo "$?"
  # Once more, with a password; the script that was for the other user is skipped.
  while IFS= read -r s; do
    [ "$s" = again ] && sudo_to -k -S -p "$PROMPT"
  done
elif [ -n "$PROMPT" ]; then
  exec sudo -k -S -p "$PROMPT" -H -u "$BECOME" -- /bin/sh -c "$INNER"
else
  exec sudo -n -H -u "$BECOME" -- /bin/sh -c "$INNER"
fi
