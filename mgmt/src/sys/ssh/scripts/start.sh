# Runs DIR/SHA/NAME with the words $@, if it still has this SHA-256, with the rest of the input.
mgmt_file=$mgmt_dir/$mgmt_sha/$mgmt_name
mgmt_sum=$(digest "$mgmt_file")
if [ "$mgmt_sum" != "$mgmt_sha" ]; then
  say damaged
  exit 97
fi
# Marks the use.
touch -c -- "$mgmt_dir/$mgmt_sha" 2>/dev/null
say started
cd /
umask "$mgmt_umask"
PATH=$mgmt_path
