# bash completion of crechectl; made by supervisor/ctl/completion.py out of the table of commands
_crechectl() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local command='' flags='--socket --root --help --version'
    local kind='' value='' word
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in
        status|start|stop|restart|kill|reset|logs|events|explain|plan|reload|reexec|wait|net|check|top) command=$word; break ;;
        esac
    done
    case $command in
    status) flags='--help --json' kind='workload' ;;
    start) flags='--help --wait' kind='workload' ;;
    stop) flags='--help --wait' kind='workload' ;;
    restart) flags='--help --wait' kind='workload' ;;
    kill) flags='--help -s --signal' kind='workload' ;;
    reset) flags='--help' kind='workload' ;;
    logs) flags='--help -f --follow -n --lines --json' kind='workload' ;;
    events) flags='--help -f --follow --since -n --tail --json' kind='workload' ;;
    explain) flags='--help --json' kind='workload' ;;
    plan) flags='--help --json' kind='' ;;
    reload) flags='--help --json' kind='' ;;
    reexec) flags='--help --wait' kind='' ;;
    wait) flags='--help --for --timeout' kind='workload' ;;
    net) flags='--help --draw --svg --json' kind='' ;;
    check) flags='--help --config --json' kind='directory' ;;
    top) flags='--help --interval' kind='' ;;
    esac
    case $previous in
    --socket) kind='file' value=yes ;;
    --root) kind='directory' value=yes ;;
    -s|--signal) kind='signal' value=yes ;;
    -n|--lines) kind='number' value=yes ;;
    --since) kind='number' value=yes ;;
    -n|--tail) kind='number' value=yes ;;
    --for) kind='target' value=yes ;;
    --timeout) kind='number' value=yes ;;
    --svg) kind='file' value=yes ;;
    --config) kind='file' value=yes ;;
    --interval) kind='number' value=yes ;;
    esac
    COMPREPLY=()
    if [[ -z $value && $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$current")
        return
    fi
    if [[ -z $value && -z $command ]]; then
        mapfile -t COMPREPLY < <(compgen -W 'status start stop restart kill reset logs events explain plan reload reexec wait net check top' -- "$current")
        return
    fi
    case $kind in
    workload) mapfile -t COMPREPLY < <(compgen -W "$(crechectl status --json 2>/dev/null | sed -n 's/^ *"name": "\([A-Za-z0-9][A-Za-z0-9_.-]*\)".*/\1/p')" -- "$current") ;;
    target) mapfile -t COMPREPLY < <(compgen -W 'started ready healthy exited completed failed' -- "$current") ;;
    signal) mapfile -t COMPREPLY < <(compgen -W 'SIGABRT SIGALRM SIGBUS SIGCHLD SIGCONT SIGFPE SIGHUP SIGILL SIGINT SIGIO SIGKILL SIGPIPE SIGPROF SIGPWR SIGQUIT SIGRTMAX SIGRTMIN SIGSEGV SIGSTKFLT SIGSTOP SIGSYS SIGTERM SIGTRAP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGUSR1 SIGUSR2 SIGVTALRM SIGWINCH SIGXCPU SIGXFSZ' -- "$current") ;;
    directory) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    file) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    esac
}
complete -F _crechectl crechectl
