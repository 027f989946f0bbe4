# Alt-N puts the most probable word at the end of the line that is typed (for commit messages and mail).

_nwp_suggest() {
    # One process for all keys; it is started with the first.
    if [[ -z ${NWP_LINES_PID-} ]]; then
        coproc NWP_LINES { exec nwp suggest --stdin -k 1 2>/dev/null; }
    fi
    local text=${READLINE_LINE:0:READLINE_POINT} answer
    printf '%s\n' "${text//$'\n'/ }" >&"${NWP_LINES[1]}" || return
    IFS= read -r -t 5 -u "${NWP_LINES[0]}" answer || return
    # {"context": …, "suggestions": [{"word": "tomorrow", "probability": 0.4}]}; the last "word" is the answer's.
    [[ $answer =~ .*\"word\":\ \"([^\"]+)\" ]] || return
    local word=${BASH_REMATCH[1]} typed=
    [[ $text =~ [[:alnum:]\']+$ ]] && typed=${BASH_REMATCH[0]}
    text=${text:0:${#text}-${#typed}}$word' '
    READLINE_LINE=$text${READLINE_LINE:READLINE_POINT}
    READLINE_POINT=${#text}
}

bind -x '"\en": _nwp_suggest'
