-- Executed cells and other code: annotations, line numbers, and where outputs go.

local page = "html"
local settings = {}

local function raw(text) return pandoc.RawInline("html", text) end

local function setting(name)
  local value = settings[name]
  if value == nil then return nil end
  return pandoc.utils.stringify(value)
end

-- Code annotations ---------------------------------------------------------------------------

local next_identifier = 1

-- Take `# <1>` off the ends of lines. Returns the lines of each number, or nil without any.
local function take_annotations(block)
  local numbers = {}
  local found = false
  local lines = {}
  local index = 0
  for line in (block.text .. "\n"):gmatch("(.-)\n") do
    index = index + 1
    local code, number = line:match("^(.-)%s*[#/]+%s*<(%d+)>%s*$")
    if code == nil then
      lines[index] = line
    else
      found = true
      lines[index] = code
      number = tonumber(number)
      numbers[number] = numbers[number] or pandoc.List()
      numbers[number]:insert(index)
    end
  end
  if not found then return nil end
  block.text = table.concat(lines, "\n")
  return numbers
end

local function ranges(lines)
  local parts = pandoc.List()
  local first, last
  local function close()
    if first == nil then return end
    parts:insert(first == last and tostring(first) or (first .. "-" .. last))
  end
  for _, line in ipairs(lines) do
    if last ~= nil and line == last + 1 then
      last = line
    else
      close()
      first, last = line, line
    end
  end
  close()
  return table.concat(parts, ","), #lines
end

local function explanation(list, numbers, identifier)
  local items = pandoc.List()
  for index, item in ipairs(list.content) do
    local number = list.start + index - 1
    local lines = numbers[number]
    if lines == nil then
      error(string.format("item %d below an annotated cell has no `# <%d>` in the code: %s",
        number, number, pandoc.utils.stringify(item)))
    end
    local text, count = ranges(lines)
    local term = (count == 1 and "Line " or "Lines ") .. text
    local span = pandoc.Span(item[1].content, pandoc.Attr("", {}, {
      {"data-code-cell", identifier},
      {"data-code-lines", table.concat(lines:map(tostring), ",")},
      {"data-code-annotation", tostring(number)},
    }))
    local definition = pandoc.Blocks({pandoc.Plain({span})})
    for rest = 2, #item do definition:insert(item[rest]) end
    items:insert({{pandoc.Str(term)}, {definition}})
  end
  local attr = pandoc.Attr("", {"cell-annotation", "nonincremental"})
  return pandoc.Div({pandoc.DefinitionList(items)}, attr)
end

local function annotate(block)
  local numbers = take_annotations(block)
  if numbers == nil then return nil end
  if block.identifier == "" then
    block.identifier = "annotated-cell-" .. next_identifier
    next_identifier = next_identifier + 1
  end
  block.classes:insert("code-annotation-code")
  return numbers, block
end

local function annotations(blocks)
  local result = pandoc.Blocks({})
  local index = 1
  while index <= #blocks do
    local block = blocks[index]
    local numbers, identifier
    if block.t == "Div" and block.classes:includes("cell") then
      block = block:walk({CodeBlock = function(code)
        if not code.classes:includes("cell-code") then return nil end
        local found, changed = annotate(code)
        if found then
          numbers, identifier = found, changed.identifier
          return changed
        end
      end})
    elseif block.t == "CodeBlock" and not block.classes:includes("cell-code") then
      local found, changed = annotate(block)
      if found then numbers, identifier, block = found, changed.identifier, changed end
    end
    local following = blocks[index + 1]
    if numbers and following and following.t == "OrderedList" then
      local list = explanation(following, numbers, identifier)
      if block.t == "Div" then
        -- The explanation stands between the code and its output.
        block.content:insert(2, list)
        result:insert(block)
      else
        result:insert(block)
        result:insert(list)
      end
      index = index + 2
    else
      result:insert(block)
      index = index + 1
    end
  end
  return result
end

-- Line numbers -------------------------------------------------------------------------------

local function line_numbers(block)
  if #block.classes == 0 then return nil end
  local wanted = block.attributes["code-line-numbers"] or setting("code-line-numbers") or "false"
  block.attributes["code-line-numbers"] = nil
  if wanted == "false" or wanted == "0" then return block end
  block.classes:insert("number-lines")
  if page == "revealjs" and wanted ~= "true" then
    block.attributes["code-line-numbers"] = wanted
  end
  return block
end

-- Output locations ---------------------------------------------------------------------------

local function move_output(div)
  if not div.classes:includes("cell") then return nil end
  local place = div.attributes["output-location"]
  div.attributes["output-location"] = nil
  if place == nil or page ~= "revealjs" then return div end
  local first = div.content[1]
  if first == nil or first.t ~= "CodeBlock" or not first.classes:includes("cell-code") then
    return div
  end
  local code = pandoc.Blocks({first})
  local output = pandoc.Blocks({})
  for index = 2, #div.content do
    local block = div.content[index]
    if block.t == "Div" and block.classes:includes("cell-annotation") then
      code:insert(block)
    else
      output:insert(block)
    end
  end
  if place == "column" or place == "column-fragment" then
    local right = pandoc.Attr("", place == "column" and {"column"} or {"column", "fragment"})
    local attributes = div.attr:clone()
    attributes.classes:extend({"columns", "column-output-location"})
    local left = pandoc.Attr("", {"column"})
    return pandoc.Div({pandoc.Div(code, left), pandoc.Div(output, right)}, attributes)
  end
  local moved = div.attr:clone()
  moved.identifier = ""
  moved.classes:insert(place == "slide" and "output-location-slide" or "fragment")
  return {pandoc.Div(code, div.attr), pandoc.Div(output, moved)}
end

-- File names ---------------------------------------------------------------------------------

local function file_name(block)
  local name = block.attributes["filename"]
  if name == nil then return nil end
  block.attributes["filename"] = nil
  local label = pandoc.Plain({raw("<pre><strong>"), pandoc.Str(name), raw("</strong></pre>")})
  local title = pandoc.Div({label}, pandoc.Attr("", {"code-with-filename-file"}))
  return pandoc.Div({title, block}, pandoc.Attr("", {"code-with-filename"})), false
end

function Pandoc(doc)
  page = pandoc.utils.stringify(doc.meta["render-format"])
  settings = doc.meta["render-settings"] or {}
  doc.blocks = doc.blocks:walk({traverse = "topdown", Blocks = annotations})
  doc.blocks = doc.blocks:walk({CodeBlock = line_numbers})
  doc.blocks = doc.blocks:walk({Div = move_output})
  doc.blocks = doc.blocks:walk({traverse = "topdown", CodeBlock = file_name})
  return doc
end
