-- What Quarto does to a page inside pandoc: conditional content, cells, callouts, tabs, figures,
-- folded code. The order is that of `Pandoc` at the end.

local page = "html"
local settings = {}
local counter = {tabset = 0, annotated = 0}

local function setting(name)
  local value = settings[name]
  return value ~= nil and pandoc.utils.stringify(value) or nil
end

local function raw(text) return pandoc.RawInline("html", text) end

local function attr(...) return pandoc.Attr("", {...}) end

local function read_inlines(text)
  return pandoc.utils.blocks_to_inlines(pandoc.read(text, "markdown").blocks)
end

-- Conditional content: content-visible and content-hidden. `html` holds for slides as well, because
-- revealjs is an HTML format; `unless-format="revealjs"` therefore means "notes only".

local conditions

local function condition(element)
  local classes = element.classes
  local hidden = classes:includes("content-hidden")
  if not (hidden or classes:includes("content-visible")) then return nil end
  local holds = true
  for name, wanted in pairs({["when-format"] = true, ["unless-format"] = false}) do
    local value = element.attributes[name]
    element.attributes[name] = nil
    if value ~= nil and (value == "html" or value == page) ~= wanted then holds = false end
  end
  if holds == hidden then return {}, false end
  element.classes = classes:filter(function(class) return not class:match("^content%-[vh]") end)
  if element.t == "Div" then return element.content:walk(conditions), false end
  return element
end

conditions = {traverse = "topdown", Div = condition, Span = condition, CodeBlock = condition}

-- Code annotations: `# <1>` at the ends of lines, and a numbered list below that explains them.

-- Take the marks off; returns the lines of each number, or nil without any.
local function take_annotations(block)
  local numbers = {}
  local lines = pandoc.List()
  for line in (block.text .. "\n"):gmatch("(.-)\n") do
    local code, number = line:match("^(.-)%s*[#/]+%s*<(%d+)>%s*$")
    lines:insert(code or line)
    if code then
      number = tonumber(number)
      numbers[number] = numbers[number] or pandoc.List()
      numbers[number]:insert(#lines)
    end
  end
  if next(numbers) == nil then return nil end
  block.text = table.concat(lines, "\n")
  if block.identifier == "" then
    counter.annotated = counter.annotated + 1
    block.identifier = "annotated-cell-" .. counter.annotated
  end
  block.classes:insert("code-annotation-code")
  return numbers
end

local function ranges(lines)
  local parts = pandoc.List()
  local first
  for index, line in ipairs(lines) do
    first = first or line
    if lines[index + 1] ~= line + 1 then
      parts:insert(first == line and tostring(first) or (first .. "-" .. line))
      first = nil
    end
  end
  return setting(#lines == 1 and "word-line" or "word-lines") .. " " .. table.concat(parts, ",")
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
    local span = pandoc.Span(item[1].content, pandoc.Attr("", {}, {
      {"data-code-cell", identifier},
      {"data-code-lines", table.concat(lines:map(tostring), ",")},
      {"data-code-annotation", tostring(number)},
    }))
    local definition = pandoc.Blocks({pandoc.Plain({span})})
    for rest = 2, #item do definition:insert(item[rest]) end
    items:insert({{pandoc.Str(ranges(lines))}, {definition}})
  end
  return pandoc.Div({pandoc.DefinitionList(items)}, attr("cell-annotation", "nonincremental"))
end

local function annotations(blocks)
  local result = pandoc.Blocks({})
  local code, numbers
  for _, block in ipairs(blocks) do
    if numbers and block.t == "OrderedList" then
      local list = explanation(block, numbers, code)
      local cell = result[#result]
      if cell.t == "Div" then
        cell.content:insert(2, list)  -- between the code and its output
        result[#result] = cell
      else
        result:insert(list)
      end
      numbers = nil
    else
      numbers = nil
      local is_cell = block.t == "Div" and block.classes:includes("cell")
      local function take(each)
        if each.classes:includes("cell-code") ~= is_cell then return nil end
        numbers, code = take_annotations(each), each.identifier
        return each
      end
      if is_cell then block = block:walk({CodeBlock = take}) end
      if block.t == "CodeBlock" then take(block) end
      result:insert(block)
    end
  end
  return result
end

-- Cells that are only shown: `{{python}}` in place of `{python}`.
local function unexecuted(block)
  local language = block.attributes["unexecuted"]
  if language then
    block.text = "```{" .. language .. "}\n" .. block.text .. "\n```"
    block.attributes["unexecuted"] = nil
  elseif block.text:match("^```+{{%a.-}}") then
    block.text = block.text:gsub("```{{(.-)}}", "```{%1}")
    block.classes:insert("markdown")
  else
    return nil
  end
  return block
end

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

-- Where the output of a cell stands on slides: `output-location`.

local function move_output(div)
  local place = div.attributes["output-location"]
  div.attributes["output-location"] = nil
  if place == nil or page ~= "revealjs" then return div end
  local code, output = pandoc.Blocks({}), pandoc.Blocks({})
  for _, block in ipairs(div.content) do
    local is_code = block.t == "CodeBlock" and block.classes:includes("cell-code")
      or block.t == "Div" and block.classes:includes("cell-annotation")
    if is_code then code:insert(block) else output:insert(block) end
  end
  local moved = div.attr:clone()
  if place == "column" or place == "column-fragment" then
    moved.classes:extend({"columns", "column-output-location"})
    local right = place == "column" and attr("column") or attr("column", "fragment")
    return pandoc.Div({pandoc.Div(code, attr("column")), pandoc.Div(output, right)}, moved)
  end
  moved.identifier = ""
  moved.classes:insert(place == "slide" and "output-location-slide" or "fragment")
  return {pandoc.Div(code, div.attr), pandoc.Div(output, moved)}
end

-- Things side by side: `layout-ncol`. Each block is a cell, headings and spaces are not.

local function panel(div)
  local columns = tonumber(div.attributes["layout-ncol"])
  if columns == nil then return nil end
  local rows = pandoc.Blocks({})
  for _, block in ipairs(div.content) do
    if #rows == 0 or #rows[#rows].content == columns then
      rows:insert(pandoc.Div({}, attr("quarto-layout-row")))
    end
    local row = rows[#rows]
    row.content:insert(pandoc.Div({block}, pandoc.Attr("", {"quarto-layout-cell"},
      {{"style", string.format("flex-basis: %.1f%%;", 100 / columns)}})))
    rows[#rows] = row
  end
  div.classes:insert("quarto-layout-panel")
  div.content = rows
  return div
end

-- A place on a slide: `.absolute` with `top`, `left` and so on, numbers being pixels.
local function position(element)
  if page ~= "revealjs" or not element.classes:includes("absolute") then return nil end
  local style = element.attributes["style"] or ""
  for _, name in ipairs({"top", "left", "bottom", "right", "width", "height"}) do
    local value = element.attributes[name]
    if value then
      style = style .. name .. ": " .. value .. (tonumber(value) and "px" or "") .. "; "
      element.attributes[name] = nil
    end
  end
  element.attributes["style"] = style
  return element
end

local function callout(div)
  local kind
  for _, class in ipairs(div.classes) do kind = kind or class:match("^callout%-(%a+)$") end
  if kind == nil then return nil end
  local attributes = div.attributes
  local title = pandoc.Inlines({})
  if attributes["title"] then
    title = read_inlines(attributes["title"])
  elseif div.content[1] and div.content[1].t == "Header" then
    title = div.content[1].content
    div.content:remove(1)
  end
  local collapse = attributes["collapse"]
  attributes["title"], attributes["collapse"] = nil, nil
  local classes = div.classes:filter(function(class) return not class:match("^callout") end)
  classes:extend({"callout", "callout-style-default", "callout-" .. kind})
  if #div.content == 0 then classes:insert("callout-empty-content") end
  classes:insert("callout-titled")
  local outer = pandoc.Attr(div.identifier, classes, attributes)
  local icon = pandoc.Div({pandoc.Plain({raw('<i class="callout-icon"></i>')})}, attr("callout-icon-container"))
  local name = pandoc.Str(setting("word-" .. kind))
  if page == "revealjs" then
    -- In slides a callout has no collapsing and a flatter structure, as in Quarto.
    if #title == 0 then title:insert(name) end
    local head = pandoc.Div({icon, pandoc.Para({pandoc.Strong(title)})}, attr("callout-title"))
    local text = pandoc.Div(div.content, attr("callout-content"))
    return pandoc.Div({pandoc.Div({head, text}, attr("callout-body"))}, outer), false
  end
  title:insert(1, #title > 0 and pandoc.Span({name}, attr("screen-reader-only")) or name)
  local head = {icon, pandoc.Div({pandoc.Plain(title)}, attr("callout-title-container", "flex-fill"))}
  local text = pandoc.Div(div.content, attr("callout-body-container", "callout-body"))
  local header = "callout-header d-flex align-content-center"
  if collapse == nil then return pandoc.Div({pandoc.Div(head, attr(header)), text}, outer), false end
  -- The browser's own disclosure element: it works from the keyboard and without a script.
  local tag = '<details class="callout-collapse"' .. (collapse == "false" and " open" or "") .. ">"
  return pandoc.Div({pandoc.RawBlock("html", tag .. '<summary class="' .. header .. '">'),
    head[1], head[2], pandoc.RawBlock("html", "</summary>"), text, pandoc.RawBlock("html", "</details>"),
  }, outer), false
end

local function tabset(div)
  if not div.classes:includes("panel-tabset") then return nil end
  local level
  local tabs = pandoc.List()
  for _, block in ipairs(div.content) do
    if block.t == "Header" and (level == nil or block.level == level) then
      level = block.level
      tabs:insert({title = block.content, content = pandoc.Blocks({})})
    elseif #tabs > 0 then
      tabs[#tabs].content:insert(block)
    end
  end
  if #tabs == 0 then error("a panel-tabset needs headings, one for each tab") end
  counter.tabset = counter.tabset + 1
  local bar = pandoc.Plain({raw('<ul class="nav nav-tabs'
    .. (page == "revealjs" and " panel-tabset-tabby" or "") .. '" role="tablist">')})
  local panes = pandoc.Blocks({})
  for index, tab in ipairs(tabs) do
    local pane = "tabset-" .. counter.tabset .. "-" .. index
    local active = index == 1
    bar.content:insert(raw(string.format('<li class="nav-item" role="presentation">'
      .. '<a class="nav-link%s" role="tab" id="%s-tab" href="#%s" aria-controls="%s"'
      .. ' aria-selected="%s" tabindex="%s">',
      active and " active" or "", pane, pane, pane, active, active and "0" or "-1")))
    bar.content:extend(tab.title)
    bar.content:insert(raw("</a></li>"))
    panes:insert(pandoc.Div(tab.content, pandoc.Attr(pane,
      active and {"tab-pane", "active"} or {"tab-pane"},
      {{"role", "tabpanel"}, {"aria-labelledby", pane .. "-tab"}})))
  end
  bar.content:insert(raw("</ul>"))
  return pandoc.Div({bar, pandoc.Div(panes, attr("tab-content"))}, div.attr)
end

-- A pause has no meaning in notes.
local function pause(paragraph)
  if page ~= "revealjs" and pandoc.utils.stringify(paragraph) == ". . ." then return {} end
end

local function quote(block)
  -- pandoc reads a list alone in a quotation as a request for fragments; a div prevents that.
  if page == "revealjs" and #block.content == 1 and block.content[1].t == "BulletList" then
    block.content = pandoc.Blocks({pandoc.Div(block.content, attr("quoted-list"))})
    return block
  end
end

-- The address of a link makes a source line long; as in Quarto it does not make columns wide.
local function widths(block)
  local has_link = false
  block:walk({Link = function() has_link = true end})
  if not has_link then return nil end
  for _, column in ipairs(block.colspecs) do column[2] = nil end
  return block
end

-- Figures: images with a caption, and images alone with nothing but a text for those who do not see.

local function figure_box(content, caption, attributes)
  local blocks = pandoc.Blocks({pandoc.RawBlock("html", "<figure>")})
  blocks:extend(content)
  if #caption > 0 then
    local plain = pandoc.Plain({raw("<figcaption>")})
    plain.content:extend(caption)
    plain.content:insert(raw("</figcaption>"))
    blocks:insert(plain)
  end
  blocks:insert(pandoc.RawBlock("html", "</figure>"))
  return pandoc.Div(blocks, attributes)
end

local function figure(block)
  local content = block.content
  if content[1].t == "Plain" then content[1] = pandoc.Para(content[1].content) end
  local caption = pandoc.utils.blocks_to_inlines(block.caption.long or {})
  content = content:walk({Image = function(image)
    -- What stands in a film's place says that it is one, since the caption follows.
    if image.src:match("%.mp4$") or image.src:match("%.webm$") or image.src:match("%.ogv$") then
      image.caption = pandoc.Inlines({})
      return image
    end
  end})
  local attributes = pandoc.Attr(block.identifier, {"quarto-figure", "quarto-figure-center"})
  return figure_box(content, caption, attributes), false
end

local function bare_figure(paragraph)
  local image = #paragraph.content == 1 and paragraph.content[1] or {}
  if image.t == "Link" and #image.content == 1 then image = image.content[1] end
  if image.t ~= "Image" or not image.attributes["fig-alt"] then return nil end
  return figure_box(pandoc.Blocks({pandoc.Para(paragraph.content)}), {}, pandoc.Attr()), false
end

local function image_text(image)
  local text = image.attributes["fig-alt"] or image.attributes["alt"]
  image.attributes["fig-alt"], image.attributes["alt"] = nil, nil
  if text ~= nil then image.caption = pandoc.Inlines({pandoc.Str(text)}) end
  return image
end

-- Folded code: a disclosure around the code of a cell.

local function fold(block)
  if not block.classes:includes("cell-code") then return nil end
  local wanted = block.attributes["code-fold"] or setting("code-fold") or "false"
  local summary = block.attributes["code-summary"] or setting("code-summary") or setting("word-code")
  block.attributes["code-fold"], block.attributes["code-summary"] = nil, nil
  if wanted == "false" or wanted == "0" then return block end
  local open = wanted == "show" and " open" or ""
  local head = pandoc.Plain({raw("<details" .. open .. ' class="code-fold"><summary>')})
  head.content:extend(read_inlines(summary))
  head.content:insert(raw("</summary>"))
  return {head, block, pandoc.RawBlock("html", "</details>")}, false
end

function Pandoc(doc)
  page = pandoc.utils.stringify(doc.meta["render-format"])
  settings = doc.meta["render-settings"] or {}
  for _, filter in ipairs({
    conditions,
    {traverse = "topdown", Blocks = annotations},
    {CodeBlock = unexecuted},
    {CodeBlock = line_numbers},
    {Div = move_output},
    {Para = pause, BlockQuote = quote, Table = widths},
    {Div = function(div) return callout(div) or tabset(div) end},
    {Div = panel},
    {traverse = "topdown", Figure = figure, Para = bare_figure, Plain = bare_figure,
      Table = function(block) return block, false end},
    {Image = image_text},
    {Div = position, Span = position, Image = position},
    {traverse = "topdown", CodeBlock = fold},
  }) do
    doc.blocks = doc.blocks:walk(filter)
  end
  return doc
end
