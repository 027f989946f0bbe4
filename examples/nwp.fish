# Alt-N puts the most probable word at the cursor (for commit messages and mail).

function _nwp_suggest
    set -l text (commandline --cut-at-cursor | string join ' ')
    # {"context": …, "suggestions": [{"word": "tomorrow", "probability": 0.4}]}
    set -l answer (printf '%s\n' "$text" | nwp suggest --stdin -k 1 2>/dev/null)
    set -l word (string match --regex --groups-only '.*"word": "([^"]+)"' -- "$answer")
    or return
    set -l typed (string match --regex '[[:alnum:]\']*$' -- "$text")
    # Editing functions would run only after this one: the line is put together here.
    set -l line (commandline | string collect)
    set -l at (commandline --cursor)
    set -l kept (math $at - (string length -- "$typed"))
    set -l head (string sub --length $kept -- "$line" | string collect --allow-empty)
    set -l tail (string sub --start (math $at + 1) -- "$line" | string collect --allow-empty)
    commandline --replace -- "$head$word $tail"
    commandline --cursor (math $kept + (string length -- "$word") + 1)
end

bind \en _nwp_suggest
