-- Figures and tables: captions, numbers, cross-references, panels in rows and columns.

local page = "html"
local settings = {}
local names = {fig = "Figure", tbl = "Table", sec = "Section", eq = "Equation"}
local counts = {fig = 0, tbl = 0, eq = 0}
local entries = {}
-- Above 0 inside of floats, panels and captioned outputs, where an image needs no frame of its own.
local framed = 0

local function setting(name)
  local value = settings[name]
  return value ~= nil and pandoc.utils.stringify(value) or nil
end

local function raw(text) return pandoc.RawInline("html", text) end

local function kind_of(identifier)
  local kind = (identifier or ""):match("^(%a+)%-")
  return (kind == "fig" or kind == "tbl") and kind or nil
end

local function escape(text)
  return (text:gsub("&", "&amp;"):gsub('"', "&quot;"):gsub("<", "&lt;"))
end

-- Alternative text of images -----------------------------------------------------------------

local function image_text(image)
  local text = image.attributes["fig-alt"] or image.attributes["alt"]
  image.attributes["fig-alt"] = nil
  image.attributes["alt"] = nil
  image.attributes["fig-align"] = nil
  if text ~= nil then image.caption = pandoc.Inlines({pandoc.Str(text)}) end
  return image
end

local function only_image(block)
  if block.t ~= "Para" and block.t ~= "Plain" then return nil end
  if #block.content ~= 1 then return nil end
  local inner = block.content[1]
  if inner.t == "Link" and #inner.content == 1 then inner = inner.content[1] end
  return inner.t == "Image" and inner or nil
end

-- Figures without a number -------------------------------------------------------------------

local function plain_figure(content, caption, align, attr)
  local outer = attr or pandoc.Attr()
  outer.classes:extend({"quarto-figure", "quarto-figure-" .. align})
  local blocks = pandoc.Blocks({pandoc.RawBlock("html", "<figure>")})
  blocks:extend(content)
  if caption and #caption > 0 then
    local plain = pandoc.Plain({raw("<figcaption>")})
    plain.content:extend(caption)
    plain.content:insert(raw("</figcaption>"))
    blocks:insert(plain)
  end
  blocks:insert(pandoc.RawBlock("html", "</figure>"))
  return pandoc.Div(blocks, outer)
end

local function alignment(div)
  local align = div.attributes["fig-align"]
  div:walk({Image = function(image) align = align or image.attributes["fig-align"] end})
  div.attributes["fig-align"] = nil
  if align == nil or align == "default" then align = setting("fig-align") end
  if align == nil or align == "default" then align = "center" end
  return align
end

-- Numbered floats ----------------------------------------------------------------------------

local function caption_place(kind, div)
  local place = div.attributes["cap-location"] or div.attributes[kind .. "-cap-location"]
    or setting(kind .. "-cap-location") or (kind == "tbl" and "top" or "bottom")
  div.attributes["cap-location"] = nil
  div.attributes[kind .. "-cap-location"] = nil
  return place
end

local function render_float(kind, identifier, div, caption, content, parent)
  local align = alignment(div)
  local place = caption_place(kind, div)
  local caption_identifier = identifier .. "-caption"
  local title = pandoc.Inlines({})
  if parent then
    local entry = entries[identifier]
    title:insert(pandoc.Str("(" .. string.char(96 + entry.part) .. ")"))
    if #caption > 0 then title:insert(pandoc.Space()) end
  else
    local number = names[kind] .. "\u{a0}" .. entries[identifier].number
    title:insert(pandoc.Str(#caption > 0 and number .. ":" or number))
    if #caption > 0 then title:insert(pandoc.Space()) end
  end
  title:extend(caption)
  local role = parent and "quarto-subfloat" or "quarto-float"
  local owner = parent and kind_of(parent) or kind
  local box = pandoc.Plain({raw(string.format(
    '<figcaption class="quarto-float-caption-%s %s-caption %s-%s%s" id="%s">', place, role, role,
    owner, #caption == 0 and not parent and " quarto-uncaptioned" or "",
    escape(caption_identifier)))})
  box.content:extend(title)
  box.content:insert(raw("</figcaption>"))
  content = content:map(function(block)
    return only_image(block) and pandoc.Plain(block.content) or block
  end)
  local panel_box = #content == 1 and content[1].t == "Div"
    and content[1].classes:includes("quarto-layout-panel") and content[1]
  if panel_box then content = panel_box.content end
  local inner = pandoc.Div(content, pandoc.Attr("", {}, {{"aria-describedby", caption_identifier}}))
  local blocks = pandoc.Blocks({pandoc.RawBlock("html",
    string.format('<figure class="quarto-float %s-%s figure">', role, owner))})
  if place == "top" then blocks:extend({box, inner}) else blocks:extend({inner, box}) end
  blocks:insert(pandoc.RawBlock("html", "</figure>"))
  local classes = div.classes:filter(function(class) return not class:match("^cell%-float") end)
  if panel_box then
    classes:insert("quarto-layout-panel")
  else
    classes:extend({"quarto-float", "quarto-figure", "quarto-figure-" .. align})
  end
  return pandoc.Div(blocks, pandoc.Attr(identifier, classes, div.attributes))
end

local function take_caption(div)
  for index, block in ipairs(div.content) do
    if block.t == "Div" and block.classes:includes("cell-float-caption") then
      div.content:remove(index)
      return pandoc.utils.blocks_to_inlines(block.content)
    end
  end
  local last = div.content[#div.content]
  if not div.classes:includes("cell-float") and #div.content > 1 and last.t == "Para"
      and not only_image(last) then
    div.content:remove(#div.content)
    return last.content
  end
  return pandoc.Inlines({})
end

-- Panels -------------------------------------------------------------------------------------

local function is_preamble(block)
  if block.t == "CodeBlock" then return block.classes:includes("cell-code") end
  return block.t == "Div" and (block.classes:includes("cell-output-stderr")
    or block.classes:includes("cell-annotation"))
end

local function has_layout(element)
  return element.attributes["layout-ncol"] or element.attributes["layout-nrow"]
    or element.attributes["layout"]
end

local function widths_of(layout, count)
  local ok, rows = pcall(pandoc.json.decode, layout, false)
  if not ok or type(rows) ~= "table" then
    error('layout="' .. layout .. '" is not a list of rows such as [[1,1],[1]]')
  end
  if type(rows[1]) ~= "table" then rows = {rows} end
  local result = {}
  for _, row in ipairs(rows) do
    local sum = 0
    for _, width in ipairs(row) do sum = sum + math.abs(width) end
    local line = {}
    for _, width in ipairs(row) do line[#line + 1] = width / sum * 100 end
    result[#result + 1] = line
  end
  -- The last row is repeated for what is left over.
  local placed = 0
  for _, row in ipairs(result) do
    for _, width in ipairs(row) do if width > 0 then placed = placed + 1 end end
  end
  while placed < count do
    local row = result[#result]
    result[#result + 1] = row
    for _, width in ipairs(row) do if width > 0 then placed = placed + 1 end end
  end
  return result
end

local function panel(element)
  local attributes = element.attributes
  local columns = tonumber(attributes["layout-ncol"])
  local rows = tonumber(attributes["layout-nrow"])
  local layout = attributes["layout"]
  local align = attributes["layout-align"] or "left"
  local valign = attributes["layout-valign"]
  for _, name in ipairs({"-ncol", "-nrow", "", "-align", "-valign"}) do
    attributes["layout" .. name] = nil
  end
  local preamble = pandoc.Blocks({})
  local cells = pandoc.List()
  local heading
  local function add(block)
    local cell = block
    if block.t ~= "Div" or block.identifier ~= "" or block.classes:includes("quarto-figure") then
      cell = pandoc.Div({block})
    end
    if heading then
      cell.content:insert(1, heading)
      heading = nil
    end
    cells:insert(cell)
  end
  for _, block in ipairs(element.content) do
    if is_preamble(block) then
      preamble:insert(block)
    elseif block.t == "Header" then
      heading = page == "revealjs" and pandoc.Para({pandoc.Strong(block.content)}) or block
    else
      add(block)
    end
  end
  if columns == nil and layout == nil then columns = math.ceil(#cells / (rows or #cells)) end
  local plan = {}
  if layout then
    plan = widths_of(layout, #cells)
  else
    for _ = 1, math.ceil(#cells / columns) do
      local row = {}
      for _ = 1, columns do row[#row + 1] = 100 / columns end
      plan[#plan + 1] = row
    end
  end
  local flex = {left = "flex-start", center = "center", right = "flex-end"}
  local content = pandoc.Blocks({})
  local index = 1
  for _, row in ipairs(plan) do
    if index > #cells then break end
    local line = pandoc.Div({}, pandoc.Attr("", {"quarto-layout-row"}))
    if valign then line.classes:insert("quarto-layout-valign-" .. valign) end
    for _, width in ipairs(row) do
      local basis = string.format("flex-basis: %.1f%%;", math.abs(width))
      if width < 0 then
        line.content:insert(pandoc.Div({pandoc.Para({pandoc.Str(" ")})},
          pandoc.Attr("", {"quarto-figure-spacer", "quarto-layout-cell"}, {style = basis})))
      elseif cells[index] then
        local cell = cells[index]
        index = index + 1
        cell.classes:insert("quarto-layout-cell")
        local justify = flex[align] or "flex-start"
        cell.attributes["style"] = basis .. "justify-content: " .. justify .. ";"
        line.content:insert(cell)
      end
    end
    content:insert(line)
  end
  return preamble, pandoc.Div(content, pandoc.Attr("", {"quarto-layout-panel"}))
end

-- The walk in document order -----------------------------------------------------------------

local transform

local function transform_framed(blocks, parent)
  framed = framed + 1
  local result = transform(blocks, parent)
  framed = framed - 1
  return result
end

local function register(kind, identifier, parent)
  if entries[identifier] then
    error("the label '" .. identifier .. "' is used twice")
  end
  if parent then
    local owner = entries[parent]
    owner.parts = (owner.parts or 0) + 1
    entries[identifier] = {kind = kind, parent = parent, part = owner.parts}
  else
    counts[kind] = counts[kind] + 1
    entries[identifier] = {kind = kind, number = tostring(counts[kind])}
  end
end

local function float(div, parent)
  local kind = kind_of(div.identifier)
  local identifier = div.identifier
  register(kind, identifier, parent)
  local is_cell = div.classes:includes("cell")
  local caption = take_caption(div)
  local preamble = pandoc.Blocks({})
  div.content = transform_framed(div.content, identifier)
  local content
  if has_layout(div) then
    local inner
    preamble, inner = panel(div)
    content = pandoc.Blocks({inner})
  else
    content = pandoc.Blocks({})
    for _, block in ipairs(div.content) do
      if is_preamble(block) then preamble:insert(block) else content:insert(block) end
    end
  end
  if not is_cell then return render_float(kind, identifier, div, caption, content, parent) end
  -- The code of a cell stays outside of the figure that its outputs make.
  local outer = pandoc.Attr("cell-" .. identifier, div.classes, div.attributes)
  local figure = pandoc.Div({}, pandoc.Attr("", {}, {}))
  if outer.attributes["fig-align"] then
    figure.attributes["fig-align"] = outer.attributes["fig-align"]
    outer.attributes["fig-align"] = nil
  end
  local blocks = preamble
  blocks:insert(render_float(kind, identifier, figure, caption, content, parent))
  return pandoc.Div(blocks, outer)
end

local function visit(block, parent)
  if block.t == "Div" then
    if kind_of(block.identifier) then return float(block, parent) end
    if block.classes:includes("cell-float") then
      local caption = take_caption(block)
      local align = alignment(block)
      return plain_figure(transform_framed(block.content, parent), caption, align)
    end
    local inside = has_layout(block) and transform_framed or transform
    block.content = inside(block.content, parent)
    if has_layout(block) then
      local preamble, inner = panel(block)
      if #preamble == 0 and not block.classes:includes("cell") then
        inner.classes:extend(block.classes)
        inner.identifier = block.identifier
        inner.attributes = block.attributes
        return inner
      end
      preamble:insert(inner)
      block.content = preamble
    end
    return block
  end
  if block.t == "Figure" then
    local image
    block:walk({Image = function(each) image = each end})
    local caption = pandoc.utils.blocks_to_inlines(block.caption.long or {})
    local identifier = block.identifier
    if identifier == "" and image then identifier = image.identifier end
    local holder = pandoc.Div(block.content, pandoc.Attr(identifier, {}, {}))
    local align = image and image.attributes["fig-align"]
    if align then holder.attributes["fig-align"] = align end
    local kind = kind_of(identifier)
    holder = holder:walk({Image = function(each)
      each.identifier = ""
      return each
    end})
    if kind then
      register(kind, identifier, parent)
      return render_float(kind, identifier, holder, caption, holder.content, parent)
    end
    align = alignment(holder)
    local content = holder.content
    if content[1] and content[1].t == "Plain" then content[1] = pandoc.Para(content[1].content) end
    return plain_figure(content, caption, align, pandoc.Attr(identifier))
  end
  if block.t == "Table" then
    local identifier = block.identifier
    local kind = kind_of(identifier)
    if kind then
      register(kind, identifier, parent)
      local caption = pandoc.utils.blocks_to_inlines(block.caption.long)
      block.caption = {long = {}, short = nil}
      block.identifier = ""
      local holder = pandoc.Div({block}, pandoc.Attr(identifier, {}, {}))
      return render_float(kind, identifier, holder, caption, pandoc.Blocks({block}), parent)
    end
    return block
  end
  -- An image alone, with a text but no caption, stands in a bare figure, as in Quarto.
  local image = framed == 0 and only_image(block)
  if image and (image.attributes["fig-alt"] or image.attributes["fig-align"]) then
    local align = image.attributes["fig-align"]
    local figure = plain_figure(pandoc.Blocks({pandoc.Para(block.content)}), nil, align or "center")
    if align == nil then figure.classes = pandoc.List() end
    return figure
  end
  if block.t == "BulletList" or block.t == "OrderedList" then
    for index, item in ipairs(block.content) do block.content[index] = transform(item, parent) end
  elseif block.t == "BlockQuote" then
    block.content = transform(block.content, parent)
  elseif block.t == "DefinitionList" then
    for _, item in ipairs(block.content) do
      for index, definition in ipairs(item[2]) do item[2][index] = transform(definition, parent) end
    end
  end
  return block
end

transform = function(blocks, parent)
  local result = pandoc.Blocks({})
  for _, block in ipairs(blocks) do result:insert(visit(block, parent)) end
  return result
end

-- Section numbers, equations and references --------------------------------------------------

local function number_sections(blocks)
  local levels = {0, 0, 0, 0, 0, 0}
  local top
  blocks:walk({Header = function(header) top = math.min(top or 9, header.level) end})
  blocks:walk({
    traverse = "topdown",
    Header = function(header)
      if header.classes:includes("unnumbered") then return nil end
      levels[header.level] = levels[header.level] + 1
      for level = header.level + 1, 6 do levels[level] = 0 end
      if header.identifier:match("^sec%-") then
        local parts = {}
        for level = top, header.level do parts[#parts + 1] = tostring(levels[level]) end
        entries[header.identifier] = {kind = "sec", number = table.concat(parts, ".")}
      end
    end,
  })
end

-- `$$ ... $$ {#eq-name}`: an identifier in braces after display math numbers the equation.
local function equations(paragraph)
  local content = pandoc.Inlines({})
  local index = 1
  local changed = false
  while index <= #paragraph.content do
    local inline = paragraph.content[index]
    local nearby = paragraph.content[index + 1]
    local offset = (nearby and nearby.t == "Space") and 2 or 1
    local label = paragraph.content[index + offset]
    local identifier = inline.t == "Math" and inline.mathtype == "DisplayMath"
      and label and label.t == "Str" and label.text:match("^{#(eq%-[%w%-_]+)}$")
    if identifier then
      counts.eq = counts.eq + 1
      entries[identifier] = {kind = "eq", number = tostring(counts.eq)}
      inline.text = inline.text .. "\\qquad(" .. counts.eq .. ")"
      content:insert(pandoc.Span({inline}, pandoc.Attr(identifier)))
      index = index + offset + 1
      changed = true
    else
      content:insert(inline)
      index = index + 1
    end
  end
  if changed then return pandoc.Para(content) end
end

local function references(cite)
  local result = pandoc.Inlines({})
  for index, citation in ipairs(cite.citations) do
    local kind = citation.id:match("^(%a+)%-")
    local identifier = citation.id:sub(1, 1):lower() .. citation.id:sub(2)
    if kind == nil or names[kind:lower()] == nil then return nil end
    local entry = entries[identifier]
    if entry == nil then
      error("the cross-reference @" .. citation.id .. " has no target with that label")
    end
    if index > 1 then result:extend({pandoc.Str(","), pandoc.Space()}) end
    local text = pandoc.Inlines({})
    if #citation.prefix > 0 then
      text:extend(citation.prefix)
      text:insert(pandoc.Str("\u{a0}"))
    elseif citation.mode ~= "SuppressAuthor" then
      text:insert(pandoc.Str(names[entry.kind] .. "\u{a0}"))
    end
    if entry.parent then
      text:extend({pandoc.Str(entries[entry.parent].number), pandoc.Space(),
        pandoc.Str("(" .. string.char(96 + entry.part) .. ")")})
    else
      text:insert(pandoc.Str(entry.number))
    end
    result:insert(pandoc.Link(text, "#" .. identifier, "", pandoc.Attr("", {"quarto-xref"})))
  end
  return result
end

function Pandoc(doc)
  page = pandoc.utils.stringify(doc.meta["render-format"])
  settings = doc.meta["render-settings"] or {}
  doc.blocks = transform(doc.blocks, nil)
  number_sections(doc.blocks)
  doc.blocks = doc.blocks:walk({Para = equations})
  doc.blocks = doc.blocks:walk({Cite = references})
  doc.blocks = doc.blocks:walk({Image = image_text})
  return doc
end
