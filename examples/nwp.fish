# Alt-N puts the most probable word at the cursor (for commit messages and mail).

function _nwp_suggest
    set -l text (commandline --cut-at-cursor | string join ' ')
    # {"context": …, "suggestions": [{"word": "tomorrow", "probability": 0.4}]}
    set -l answer (printf '%s\n' "$text" | nwp suggest --stdin -k 1 2>/dev/null)
    set -l word (string match --regex --groups-only '.*"word": "([^"]+)"' -- "$answer")
    or return
    set -l typed (string match --regex '[[:alnum:]\']*$' -- "$text")
    for letter in (string split '' -- "$typed")
        commandline --function backward-delete-char
    end
    commandline --insert -- "$word "
end

bind \en _nwp_suggest
