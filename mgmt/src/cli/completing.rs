//! Completion of the names of resources in shells: what is added to the scripts of clap.

use clap_complete::Shell;

use crate::cli::help::ASKING;

/// The completion script of clap, and in it the names of resources, which the running instance is asked for. Unchanged
/// for shells for which there is no such part.
pub(crate) fn with_names(shell: Shell, program: &str, command: &clap::Command, script: String) -> String {
    let identifier: String = program.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let function = format!("_{identifier}_resources");
    match shell {
        Shell::Bash => {
            let names = BASH
                .replace("COMMANDS", &ASKING.join("|"))
                .replace("OPTIONS", &with_values(command).join("|"))
                .replace("FUNCTION", &function)
                .replace("CLAP", &format!("_{}", program.replace('-', "__")))
                .replace("PROGRAM", program);
            script + &names
        }
        Shell::Fish => {
            let names = FISH.replace("COMMANDS", &ASKING.join(" "));
            script + &names.replace("FUNCTION", &format!("_{function}")).replace("PROGRAM", program)
        }
        Shell::Zsh => in_zsh(&script, &function),
        _ => script,
    }
}

/// The script for zsh, in which the argument `names` is completed by a function. This function is defined before the
/// script calls itself, which is its last statement.
fn in_zsh(script: &str, function: &str) -> String {
    let (mut lines, mut is_begun) = (String::new(), false);
    for line in script.lines() {
        if line.starts_with("if [ \"$funcstack[1]\"") {
            lines += &ZSH.replace("FUNCTION", function);
        }
        match line.strip_suffix(":_default' \\").filter(|line| line.starts_with("'*::names -- ")) {
            Some(argument) => lines += &format!("{argument}:{function}' \\\n"),
            None => lines += &format!("{line}\n"),
        }
        if !is_begun && line.ends_with("() {") {
            is_begun = true;
            // The words change on the way to the argument.
            lines += &format!("    local -a {function}_words=(\"${{words[@]}}\")\n");
        }
    }
    lines
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

/// Lists the names for the commands that take some.
const FISH: &str = r#"
function FUNCTION
    set -l words (commandline -opc)
    set -l prefix
    set -l i 2
    while test $i -le (count $words)
        switch $words[$i]
            case --prefix
                set prefix --prefix $words[(math $i + 1)]
            case '--prefix=*'
                set prefix $words[$i]
        end
        set i (math $i + 1)
    end
    $words[1] status --names $prefix 2>/dev/null
end
complete -c PROGRAM -n "__fish_seen_subcommand_from COMMANDS" -f -a "(FUNCTION)"
"#;

/// Lists the names for an argument. The words are those that the script has kept at its beginning.
const ZSH: &str = r#"
(( $+functions[FUNCTION] )) ||
FUNCTION() {
    local -a prefix names
    local program=${(Q)FUNCTION_words[1]} expl
    integer i
    for (( i = 2; i <= $#FUNCTION_words; i++ )); do
        case $FUNCTION_words[i] in
            --prefix) prefix=(--prefix "${(Q)FUNCTION_words[i+1]}") ;;
            --prefix=*) prefix=("${(Q)FUNCTION_words[i]}") ;;
        esac
    done
    names=("${(f)$(${~program} status --names "${prefix[@]}" 2>/dev/null)}")
    _wanted resources expl resource compadd -a names
}

"#;
