//! Completion of the names of resources in shells: what is added to the scripts of clap.

use clap_complete::Shell;

use crate::cli::help::ASKING;

/// The part of a completion script that completes the names of resources, by asking the running instance. Empty for
/// shells for which there is none.
pub(crate) fn names(shell: Shell, program: &str, command: &clap::Command) -> String {
    let commands = ASKING.join("|");
    let function: String = program.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    match shell {
        Shell::Bash => BASH
            .replace("COMMANDS", &commands)
            .replace("OPTIONS", &with_values(command).join("|"))
            .replace("FUNCTION", &format!("_{function}_resources"))
            .replace("CLAP", &format!("_{}", program.replace('-', "__")))
            .replace("PROGRAM", program),
        Shell::Fish => {
            let commands = ASKING.join(" ");
            format!(
                "complete -c {program} -n \"__fish_seen_subcommand_from {commands}\" -f -a \"({program} status --names 2>/dev/null)\"\n"
            )
        }
        _ => String::new(),
    }
}

/// The options that take a value, which is no name of a resource.
fn with_values(command: &clap::Command) -> Vec<String> {
    let asking = command.get_subcommands().filter(|own| ASKING.contains(&own.get_name()));
    let all = command.get_arguments().chain(asking.flat_map(clap::Command::get_arguments));
    let mut names: Vec<String> = all
        .filter(|arg| arg.get_action().takes_values())
        .filter_map(|arg| Some(format!("--{}", arg.get_long()?)))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Completes names with the list of the running instance, and everything else as before.
const BASH: &str = r#"
FUNCTION() {
    local word command= prefix=() i
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case "$word" in
            COMMANDS) command=$word ;;
            --prefix)
                [[ ${COMP_WORDS[i+1]} == "=" ]] && ((i++))
                prefix=(--prefix "${COMP_WORDS[i+1]}")
                ;;
        esac
    done
    case "$3" in
        OPTIONS) command= ;;
    esac
    if [[ -z $command || $2 == -* ]]; then
        CLAP "$@"
        return
    fi
    # The word up to the cursor. Readline cuts it at colons, so what is before the last one must not be repeated.
    local line=${COMP_LINE:0:COMP_POINT} typed cut= quote= name shown
    typed=${line##*[[:space:]]}
    case "$typed" in
        \'* | \"*) quote=${typed:0:1} typed=${typed:1} ;;
    esac
    [[ -z $quote && $COMP_WORDBREAKS == *:* && $typed == *:* ]] && cut=${typed%:*}:
    COMPREPLY=()
    while IFS= read -r name; do
        if [[ -n $quote ]]; then shown=$name; else printf -v shown '%q' "$name"; fi
        if [[ $shown == "$typed"* ]]; then
            COMPREPLY+=("${shown#"$cut"}")
        elif [[ $name == "$typed"* ]]; then
            COMPREPLY+=("${shown#"$cut"}")
        fi
    done < <("$1" status --names "${prefix[@]}" 2>/dev/null)
}
complete -F FUNCTION -o bashdefault -o default PROGRAM
"#;
