# Alt-N puts the most probable word at the cursor (for commit messages and mail).

_nwp_suggest() {
    setopt local_options no_monitor  # no word of the job that is started
    # One process for all keys; it is started with the first.
    if [[ -z ${_nwp_in-} ]]; then
        coproc nwp suggest --stdin -k 1 2>/dev/null
        exec {_nwp_in}>&p {_nwp_out}<&p
    fi
    local answer typed
    print -r -u $_nwp_in -- "${LBUFFER//$'\n'/ }" || return
    IFS= read -r -t 5 -u $_nwp_out answer || return
    # {"context": …, "suggestions": [{"word": "tomorrow", "probability": 0.4}]}; the last "word" is the answer's.
    [[ $answer == *'"word": "'* ]] || return
    answer=${answer##*'"word": "'}
    typed=${LBUFFER##*[^[:alnum:]\']}
    LBUFFER="${LBUFFER[1,$(( ${#LBUFFER} - ${#typed} ))]}${answer%%\"*} "
}

zle -N _nwp_suggest
bindkey '^[n' _nwp_suggest
