-- Headless Neovim, set up as docs/editors.md says, talks to the real server: completion, references, rename, code action.
-- Environment: PROJECT, ANSWERS (a file that gets the answers as JSON).
local project = os.getenv("PROJECT")
local answers = {}

local function finish(problem)
  answers.problem = problem
  local file = assert(io.open(os.getenv("ANSWERS"), "w"))
  file:write(vim.fn.json_encode(answers))
  file:close()
  vim.cmd("qall!")
end

local function main()
  vim.cmd("edit " .. project .. "/shop/prices.py")
  local buffer = vim.api.nvim_get_current_buf()
  local clients = vim.lsp.get_clients or vim.lsp.get_active_clients
  local server
  assert(vim.wait(30000, function()
    for _, candidate in pairs(clients()) do
      if candidate.name == "dsassist" and candidate.initialized and vim.lsp.buf_is_attached(buffer, candidate.id) then
        server = candidate
      end
    end
    return server ~= nil
  end, 50), "the server did not start")
  local client = server.id

  local function position()
    return vim.lsp.util.make_position_params(0, server.offset_encoding)
  end

  local function ask(method, extra)
    local params = vim.tbl_extend("force", position(), extra or {})
    local replies = vim.lsp.buf_request_sync(buffer, method, params, 60000)
    local reply = replies and replies[client]
    return reply and reply.result
  end

  -- references of total(), once the index has the whole project
  vim.api.nvim_win_set_cursor(0, { 4, 5 })
  answers.references = {}
  vim.wait(60000, function()
    local found = ask("textDocument/references", { context = { includeDeclaration = true } }) or {}
    answers.references = vim.tbl_map(function(place)
      return vim.fn.fnamemodify(vim.uri_to_fname(place.uri), ":t") .. ":" .. (place.range.start.line + 1)
    end, found)
    return #found >= 5
  end, 500)

  -- rename discount() everywhere, by Neovim's own command
  vim.api.nvim_win_set_cursor(0, { 12, 5 })
  vim.lsp.buf.rename("reduced")
  vim.wait(30000, function()
    return vim.fn.getline(12):find("reduced") ~= nil
  end, 50)
  vim.cmd("silent wall")

  -- code actions on average()
  vim.api.nvim_win_set_cursor(0, { 19, 5 })
  local range = vim.lsp.util.make_range_params(0, server.offset_encoding)
  local replies = vim.lsp.buf_request_sync(buffer, "textDocument/codeAction", vim.tbl_extend("force", range, { context = { diagnostics = {} } }), 30000)
  local actions = replies and replies[client] and replies[client].result or {}
  answers.actions = vim.tbl_map(function(action) return action.title end, actions)

  -- take the action, agree to run the code, and find the tests in a buffer
  vim.ui.select = function(items, _, choose) choose(items[1], 1) end
  vim.lsp.handlers["window/showMessageRequest"] = function(_, request)
    answers.consent = request.message
    return request.actions[1]
  end
  vim.lsp.buf.code_action()
  answers.tests = ""
  vim.wait(120000, function()
    for _, other in ipairs(vim.api.nvim_list_bufs()) do
      if vim.api.nvim_buf_get_name(other):find("test_prices.py", 1, true) and vim.api.nvim_buf_is_loaded(other) then
        answers.tests = table.concat(vim.api.nvim_buf_get_lines(other, 0, -1, false), "\n")
      end
    end
    return answers.tests:find("def test_") ~= nil
  end, 200)

  -- a completion from the model: the popup's where this Neovim has no inline ones
  vim.api.nvim_buf_set_lines(buffer, -1, -1, false, {
    "", "", "def cheapest(prices: list[float]) -> float:", '    """The lowest price."""', "    return m",
  })
  vim.api.nvim_win_set_cursor(0, { vim.api.nvim_buf_line_count(buffer), 11 })
  answers.completion = {}
  vim.wait(120000, function()
    local params = position()
    params.position.character = 12
    local method = "textDocument/completion"
    if vim.lsp.inline_completion then
      method, params.context = "textDocument/inlineCompletion", { triggerKind = 2 }
    end
    local got = vim.lsp.buf_request_sync(buffer, method, params, 60000)
    local result = got and got[client] and got[client].result
    local items = result and (result.items or result) or {}
    answers.completion = vim.tbl_map(function(item) return item.insertText or item.textEdit and item.textEdit.newText or item.label end, items)
    return #items > 0
  end, 500)
  assert(vim.bo[buffer].omnifunc:find("lsp"), "Ctrl-X Ctrl-O does not ask the server: omnifunc is " .. vim.bo[buffer].omnifunc)
end

local ok, problem = pcall(main)
finish(not ok and tostring(problem) or nil)
