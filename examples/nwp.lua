-- Ctrl-L in insert mode puts the most probable word at the cursor (Neovim 0.7 and newer).

local job

local function put(answer)
  local found = vim.json.decode(answer)
  local best = found.suggestions and found.suggestions[1]
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  local before = vim.api.nvim_get_current_line():sub(1, column)
  if not best or before ~= found.context then -- nothing to say, or typed on meanwhile
    return
  end
  local typed = before:match("[%w'\128-\255]*$")
  local text = best.word .. " "
  vim.api.nvim_buf_set_text(0, row - 1, column - #typed, row - 1, column, { text })
  vim.api.nvim_win_set_cursor(0, { row, column - #typed + #text })
end

local function start()
  local rest = ""
  return vim.fn.jobstart({ "nwp", "suggest", "--stdin", "-k", "1" }, {
    on_stdout = function(_, lines) -- the first goes on with the last of before
      lines[1] = rest .. lines[1]
      rest = table.remove(lines)
      for _, line in ipairs(lines) do
        put(line)
      end
    end,
    on_exit = function()
      job = nil
    end,
  })
end

vim.keymap.set("i", "<C-l>", function()
  job = job or start()
  local column = vim.api.nvim_win_get_cursor(0)[2]
  vim.fn.chansend(job, vim.api.nvim_get_current_line():sub(1, column) .. "\n")
end, { desc = "nwp: the most probable word" })
