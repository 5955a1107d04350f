  # Marks the use.
  touch -c -- "$mgmt_dir/$mgmt_sha" 2>/dev/null
  cd /
  umask "$mgmt_umask"
  PATH=$mgmt_path
  mgmt_file=$mgmt_dir/$mgmt_sha/$mgmt_name
