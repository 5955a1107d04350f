# Runs DIR/SHA/NAME with the words $@, if it still has this SHA-256, with the rest of the input.
mgmt_sum=$(digest "$mgmt_dir/$mgmt_sha/$mgmt_name")
if [ "$mgmt_sum" != "$mgmt_sha" ]; then
  say damaged
  exit 97
fi
say started
launch "$@"
