# fish completion of crechectl; made by supervisor/ctl/completion.py out of the table of commands
function __crechectl_workloads
    crechectl status --json 2>/dev/null | sed -n 's/^ *"name": "\([A-Za-z0-9][A-Za-z0-9_.-]*\)".*/\1/p'
end
complete -c crechectl -f
complete -c crechectl -n 'not __fish_seen_subcommand_from status start stop restart kill reset logs events explain plan reload reexec wait net check top' -l socket -d 'The control socket (default: $CRECHE_SOCKET, else ROOT/.creched/control.sock).' -r -F
complete -c crechectl -n 'not __fish_seen_subcommand_from status start stop restart kill reset logs events explain plan reload reexec wait net check top' -l root -d 'creched\'s state directory.' -r -F
complete -c crechectl -n 'not __fish_seen_subcommand_from status start stop restart kill reset logs events explain plan reload reexec wait net check top' -a status -d 'show how workloads stand'
complete -c crechectl -n '__fish_seen_subcommand_from status' -a '(__crechectl_workloads)'
complete -c crechectl -n '__fish_seen_subcommand_from status' -l json -d 'Print JSON, for scripts.'
complete -c crechectl -n 'not __fish_seen_subcommand_from status start stop restart kill reset logs events explain plan reload reexec wait net check top' -a start -d 'start workloads, and remember that they are wanted'
complete -c crechectl -n '__fish_seen_subcommand_from start' -a '(__crechectl_workloads)'
complete -c crechectl -n '__fish_seen_subcommand_from start' -l wait -d 'Return when it is so, not when it was asked for.'
complete -c crechectl -n 'not __fish_seen_subcommand_from status start stop restart kill reset logs events explain plan reload reexec wait net check top' -a stop -d 'stop workloads, and leave them stopped'
complete -c crechectl -n '__fish_seen_subcommand_from stop' -a '(__crechectl_workloads)'
complete -c crechectl -n '__fish_seen_subcommand_from stop' -l wait -d 'Return when it is so, not when it was asked for.'
complete -c crechectl -n 'not __fish_seen_subcommand_from status start stop restart kill reset logs events explain plan reload reexec wait net check top' -a restart -d 'stop workloads and start them again'
complete -c crechectl -n '__fish_seen_subcommand_from restart' -a '(__crechectl_workloads)'
complete -c crechectl -n '__fish_seen_subcommand_from restart' -l wait -d 'Return when it is so, not when it was asked for.'
complete -c crechectl -n 'not __fish_seen_subcommand_from status start stop restart kill reset logs events explain plan reload reexec wait net check top' -a kill -d 'send a signal to a workload\'s first process'
complete -c crechectl -n '__fish_seen_subcommand_from kill' -a '(__crechectl_workloads)'
complete -c crechectl -n '__fish_seen_subcommand_from kill' -l signal -s s -d 'Name or number.' -x -a 'SIGABRT SIGALRM SIGBUS SIGCHLD SIGCONT SIGFPE SIGHUP SIGILL SIGINT SIGIO SIGKILL SIGPIPE SIGPROF SIGPWR SIGQUIT SIGRTMAX SIGRTMIN SIGSEGV SIGSTKFLT SIGSTOP SIGSYS SIGTERM SIGTRAP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGUSR1 SIGUSR2 SIGVTALRM SIGWINCH SIGXCPU SIGXFSZ'
complete -c crechectl -n 'not __fish_seen_subcommand_from status start stop restart kill reset logs events explain plan reload reexec wait net check top' -a reset -d 'forget restarts and failures'
complete -c crechectl -n '__fish_seen_subcommand_from reset' -a '(__crechectl_workloads)'
complete -c crechectl -n 'not __fish_seen_subcommand_from status start stop restart kill reset logs events explain plan reload reexec wait net check top' -a logs -d 'show what a workload writes'
complete -c crechectl -n '__fish_seen_subcommand_from logs' -a '(__crechectl_workloads)'
complete -c crechectl -n '__fish_seen_subcommand_from logs' -l follow -s f -d 'Go on with what comes.'
complete -c crechectl -n '__fish_seen_subcommand_from logs' -l lines -s n -d 'So many of the last lines.' -x
complete -c crechectl -n '__fish_seen_subcommand_from logs' -l json -d 'Print JSON, for scripts.'
complete -c crechectl -n 'not __fish_seen_subcommand_from status start stop restart kill reset logs events explain plan reload reexec wait net check top' -a events -d 'show events'
complete -c crechectl -n '__fish_seen_subcommand_from events' -a '(__crechectl_workloads)'
complete -c crechectl -n '__fish_seen_subcommand_from events' -l follow -s f -d 'Go on with what comes.'
complete -c crechectl -n '__fish_seen_subcommand_from events' -l since -d 'Those after event number N; 5 is the exit status if there is none yet, as after a boot.' -x
complete -c crechectl -n '__fish_seen_subcommand_from events' -l tail -s n -d 'So many of the last ones.' -x
complete -c crechectl -n '__fish_seen_subcommand_from events' -l json -d 'Print JSON, for scripts.'
complete -c crechectl -n 'not __fish_seen_subcommand_from status start stop restart kill reset logs events explain plan reload reexec wait net check top' -a explain -d 'tell why a workload is in the state it is in'
complete -c crechectl -n '__fish_seen_subcommand_from explain' -a '(__crechectl_workloads)'
complete -c crechectl -n '__fish_seen_subcommand_from explain' -l json -d 'Print JSON, for scripts.'
complete -c crechectl -n 'not __fish_seen_subcommand_from status start stop restart kill reset logs events explain plan reload reexec wait net check top' -a plan -d 'show what a reload would do'
complete -c crechectl -n '__fish_seen_subcommand_from plan' -l json -d 'Print JSON, for scripts.'
complete -c crechectl -n 'not __fish_seen_subcommand_from status start stop restart kill reset logs events explain plan reload reexec wait net check top' -a reload -d 'read the workload directories, and networks, anew'
complete -c crechectl -n '__fish_seen_subcommand_from reload' -l json -d 'Print JSON, for scripts.'
complete -c crechectl -n 'not __fish_seen_subcommand_from status start stop restart kill reset logs events explain plan reload reexec wait net check top' -a reexec -d 'replace creched in place; no workload notices'
complete -c crechectl -n '__fish_seen_subcommand_from reexec' -l wait -d 'Return when it is so, not when it was asked for.'
complete -c crechectl -n 'not __fish_seen_subcommand_from status start stop restart kill reset logs events explain plan reload reexec wait net check top' -a wait -d 'wait until a workload is ready, has exited, …'
complete -c crechectl -n '__fish_seen_subcommand_from wait' -a '(__crechectl_workloads)'
complete -c crechectl -n '__fish_seen_subcommand_from wait' -l for -d 'For what.' -x -a 'started ready healthy exited completed failed'
complete -c crechectl -n '__fish_seen_subcommand_from wait' -l timeout -d 'At most so many seconds.' -x
complete -c crechectl -n 'not __fish_seen_subcommand_from status start stop restart kill reset logs events explain plan reload reexec wait net check top' -a net -d 'show networks, who is on them, and who has which address'
complete -c crechectl -n '__fish_seen_subcommand_from net' -l draw -d 'Draw them as a tree.'
complete -c crechectl -n '__fish_seen_subcommand_from net' -l svg -d 'Draw them into a file (`-`: standard output).' -r -F
complete -c crechectl -n '__fish_seen_subcommand_from net' -l json -d 'Print JSON, for scripts.'
complete -c crechectl -n 'not __fish_seen_subcommand_from status start stop restart kill reset logs events explain plan reload reexec wait net check top' -a check -d 'say what is wrong with the workload directories in DIR'
complete -c crechectl -n '__fish_seen_subcommand_from check' -a '(__fish_complete_directories)'
complete -c crechectl -n '__fish_seen_subcommand_from check' -l config -d 'creched.toml, for its networks and groups (default: /etc/creche/creched.toml, if it is there).' -r -F
complete -c crechectl -n '__fish_seen_subcommand_from check' -l json -d 'Print JSON, for scripts.'
complete -c crechectl -n 'not __fish_seen_subcommand_from status start stop restart kill reset logs events explain plan reload reexec wait net check top' -a top -d 'watch what workloads use'
complete -c crechectl -n '__fish_seen_subcommand_from top' -l interval -d 'Seconds between two looks.' -x
