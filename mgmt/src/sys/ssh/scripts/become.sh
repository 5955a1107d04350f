# Continues as the user BECOME, by sudo, with the next line as the script.
umask "$mgmt_umask"
sudo_to() { sudo "$@" -H -u "$BECOME" -- /bin/sh -c "$INNER"; }
if [ "$(id -un 2>/dev/null)" = "$BECOME" ] || [ "$(id -u)" = "$BECOME" ]; then
  say became
  IFS= read -r s && eval "$(printf %b "$s")"
elif [ -n "$STAY" ]; then
  sudo_to -n
  say sudo "$?"
  # Once more with a password, for each such line; the script that was for the other user is skipped.
  while IFS= read -r s; do
    [ "$s" = again ] || continue
    sudo_to -k -S -p "$PROMPT"
    say sudo "$?"
  done
elif [ -n "$PROMPT" ]; then
  exec sudo -k -S -p "$PROMPT" -H -u "$BECOME" -- /bin/sh -c "$INNER"
else
  exec sudo -n -H -u "$BECOME" -- /bin/sh -c "$INNER"
fi
