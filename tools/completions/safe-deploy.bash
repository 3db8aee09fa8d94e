# shellcheck shell=bash
# Completion for the tools of safe-deploy. What there is to complete is asked of the tools themselves (--help): it cannot
# disagree with them.

# safe-deploy tells of an option whose it is ("enable, disable: ...; check: ..."): a line without that goes with all.
_safe_deploy_options() { # TOOL COMMAND: the options that go together with the command, one a line
  local line text owners
  while IFS= read -r line; do
    [[ $line =~ ^\ \ (-.,\ |\ \ \ \ )(--[a-z0-9-]+)(\ [A-Z]+)?(\ \ +(.*))?$ ]] || continue
    local option=${BASH_REMATCH[2]}
    text=${BASH_REMATCH[5]} owners=
    while [[ ${1##*/} == safe-deploy && $text =~ ^([a-z]+(, [a-z]+)*):\ ([^;]*)(;\ (.*))?$ ]]; do
      owners+=", ${BASH_REMATCH[1]}," text=${BASH_REMATCH[5]}
    done
    [[ -n $owners && $owners != *" $2,"* ]] || printf '%s\n' "$option"
  done < <("$1" --help 2> /dev/null)
}

_safe_deploy_argument() { # TOOL OPTION: what the option takes, such as FILE; nothing if it takes nothing
  local line
  while IFS= read -r line; do
    [[ $line =~ ^\ \ ((-.),\ |\ \ \ \ )(--[a-z0-9-]+)\ ([A-Z]+)\ \  ]] || continue
    if [[ ${BASH_REMATCH[2]} == "$2" || ${BASH_REMATCH[3]} == "$2" ]]; then
      echo "${BASH_REMATCH[4]}"
      return
    fi
  done < <("$1" --help 2> /dev/null)
}

_safe_deploy_apps() {
  local file
  for file in "${SAFE_DEPLOY_CONFIG_DIR:-/etc/safe-deploy}"/*.conf; do
    [[ -e $file ]] && basename "$file" .conf
  done
}

_safe_deploy_releases() { # APP
  release-mark --app "$1" --list 2> /dev/null | sed -nE '2,$s/ .*//p'
}

_safe_deploy_incidents() { # APP: the ids of those that nobody has closed
  local file
  for file in "${SAFE_DEPLOY_STATE_DIR:-/var/lib/safe-deploy}/$1/incidents"/*/incident.json; do
    [[ -e $file ]] && ! grep -q '"closed_at": *"[^"]' "$file" 2> /dev/null && basename "${file%/*}"
  done
}

_safe_deploy_units() {
  systemctl list-unit-files --no-legend --plain --type=service 2> /dev/null | cut -d ' ' -f 1
}

# The words before the one that is completed that are neither options nor what they take: COMMAND, APP ...
_safe_deploy_arguments() { # TOOL
  local i word
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ $word != -* ]]; then
      printf '%s\n' "$word"
    elif [[ $word != *=* && -n $(_safe_deploy_argument "$1" "$word") ]]; then
      ((i++))
    fi
  done
}

# What stands behind the word, in the words of --help: NAME, FILE, RELEASE ...
_safe_deploy_values() { # KIND TOOL APP
  local app=$3 i typed=()
  case $1 in
    NAME | APP) _safe_deploy_apps ;;
    UNIT) _safe_deploy_units ;;
    COMMAND) "$2" --help | sed -nE '/^Commands:/,/^Commands that/s/^  ([a-z-]+) .*/\1/p' ;;
    VERDICT) printf '%s\n' good bad clear ;;
    WHAT) printf '%s\n' idle prepared swapped probation rolling-back stuck good bad outdated rollback-due ;;
    PHASE)
      [[ ${2##*/} != preflight ]] || echo preflight
      printf '%s\n' health watch monitor
      ;;
    ID) [[ -z $app ]] || _safe_deploy_incidents "$app" ;;
    CHECK | RELEASE)
      for ((i = 1; i + 1 < ${#COMP_WORDS[@]}; i++)); do
        case ${COMP_WORDS[i]} in
          --app) app=${COMP_WORDS[i + 1]} ;;
          --when | --config-dir) typed+=("${COMP_WORDS[i]}" "${COMP_WORDS[i + 1]}") ;;
        esac
      done
      [[ -n $app ]] || return
      if [[ $1 == CHECK ]]; then
        preflight --app "$app" "${typed[@]}" --list 2> /dev/null | cut -d ' ' -f 1
      else
        _safe_deploy_releases "$app"
      fi
      ;;
  esac
}

_safe_deploy() {
  local tool=$1 word=$2 before=$3 kind='' app='' arguments=()
  [[ $before != -* ]] || kind=$(_safe_deploy_argument "$tool" "$before")
  if [[ ${tool##*/} == safe-deploy ]]; then
    mapfile -t arguments < <(_safe_deploy_arguments "$tool")
    app=${arguments[1]-}
  fi
  if [[ -z $kind && $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_safe_deploy_options "$tool" "${arguments[0]-}")" -- "$word")
    return
  fi
  if [[ -z $kind ]]; then
    case ${tool##*/}:${#arguments[@]}:${arguments[0]-} in
      safe-deploy:0:*) kind=COMMAND ;;
      safe-deploy:1:*) kind=APP ;;
      safe-deploy:2:deploy) kind=RELEASE ;;
      release-mark:*)
        case $before in good | bad | clear) kind=RELEASE ;; *) kind=VERDICT ;; esac
        ;;
      atomic-link:*) [[ " ${COMP_WORDS[*]} " == *' --app '* ]] && kind=RELEASE || kind=PATH ;;
      rollback-link:*) kind=PATH ;;
    esac
  fi
  case $kind in
    FILE | PATH | DIR)
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      compopt -o filenames 2> /dev/null
      ;;
    ?*) mapfile -t COMPREPLY < <(compgen -W "$(_safe_deploy_values "$kind" "$tool" "$app")" -- "$word") ;;
  esac
}

complete -F _safe_deploy port-wait drain-wait health-wait preflight atomic-link rollback-link release-mark release-prune safe-deploy
