# Reports are lines that begin with a mark; all else on standard output is noise of the login, which may have printed the
# beginning of a line.
say() { printf '\nmgmt:%s:%s\n' "$mgmt_n" "$*"; }
mgmt_path=$PATH
mgmt_umask=$(umask)
PATH=${PATH:+$PATH:}/usr/local/bin:/usr/bin:/bin
umask 077
digest() {
  case $mgmt_tool in
    sha256sum) sha256sum ;;
    shasum) shasum -a 256 ;;
    openssl) openssl dgst -sha256 -r ;;
  esac <"$1" 2>/dev/null | { IFS=' ' read -r sum rest; printf %s "$sum"; }
}
