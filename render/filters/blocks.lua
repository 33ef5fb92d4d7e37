-- Callouts, tab panels, pauses and placed elements.

local page = "html"
local settings = {}
local counter = {callout = 0, tabset = 0}

local function setting(name)
  local value = settings[name]
  return value ~= nil and pandoc.utils.stringify(value) or nil
end

local function stringify_or_nil(value)
  return value ~= nil and pandoc.utils.stringify(value) or nil
end

local function raw(text) return pandoc.RawInline("html", text) end

local function box(content, ...)
  return pandoc.Div(content, pandoc.Attr("", {...}))
end

-- Callouts -----------------------------------------------------------------------------------

local function callout_kind(div)
  for _, class in ipairs(div.classes) do
    local kind = class:match("^callout%-(%a+)$")
    if kind then return kind end
  end
  return div.classes:includes("callout") and "none" or nil
end

local function display_name(kind)
  return kind:sub(1, 1):upper() .. kind:sub(2)
end

local function callout(div)
  local kind = callout_kind(div)
  if kind == nil or div.classes:includes("callout-titled") then return nil end
  local attributes = div.attributes
  local title = pandoc.Inlines({})
  if attributes["title"] then
    title = pandoc.utils.blocks_to_inlines(pandoc.read(attributes["title"], "markdown").blocks)
  elseif div.content[1] and div.content[1].t == "Header" then
    title = div.content[1].content
    div.content:remove(1)
  end
  local appearance = attributes["appearance"] or setting("callout-appearance")
    or (kind == "none" and "simple" or "default")
  local icon = attributes["icon"] or setting("callout-icon") or "true"
  local collapse = attributes["collapse"]
  if appearance == "minimal" then appearance, icon = "simple", "false" end
  local classes = div.classes:filter(function(class)
    return not class:match("^callout")
  end)
  classes:extend({"callout", "callout-style-" .. appearance, "callout-" .. kind})
  local no_icon = icon == "false" or kind == "none"
  if no_icon then classes:insert("no-icon") end
  if #div.content == 0 then classes:insert("callout-empty-content") end
  for _, name in ipairs({"title", "appearance", "icon", "collapse"}) do attributes[name] = nil end
  local outer = pandoc.Attr(div.identifier, classes, attributes)

  local icon_box = pandoc.Div(
    {pandoc.Plain({raw('<i class="callout-icon' .. (no_icon and " no-icon" or "") .. '"></i>')})},
    pandoc.Attr("", {"callout-icon-container"}))
  local named = true
  if appearance == "default" and #title == 0 then
    title = pandoc.Inlines({pandoc.Str(display_name(kind))})
    named = false
  end
  local body = pandoc.Div(div.content, pandoc.Attr("", {"callout-body-container"}))

  if page == "revealjs" then
    -- In slides a callout has no collapsing and a flatter structure, as in Quarto.
    outer.classes:extend(#title > 0 and {"callout-titled"} or {})
    local icons = no_icon and pandoc.Blocks({}) or pandoc.Blocks({icon_box})
    local content = icons
    if #title > 0 then
      icons:insert(pandoc.Para({pandoc.Strong(title)}))
      content = pandoc.Blocks({pandoc.Div(icons, pandoc.Attr("", {"callout-title"}))})
    end
    content:insert(pandoc.Div(div.content, pandoc.Attr("", {"callout-content"})))
    return pandoc.Div({pandoc.Div(content, pandoc.Attr("", {"callout-body"}))}, outer), false
  end

  if #title == 0 then
    return pandoc.Div({box({icon_box, body}, "callout-body", "d-flex")}, outer), false
  end
  outer.classes:insert("callout-titled")
  if named and kind ~= "none" then
    local spoken = pandoc.Attr("", {"screen-reader-only"})
    title:insert(1, pandoc.Span({pandoc.Str(display_name(kind))}, spoken))
  end
  counter.callout = counter.callout + 1
  local identifier = "callout-" .. counter.callout
  local title_box = box({pandoc.Plain(title)}, "callout-title-container", "flex-fill")
  body.classes:insert("callout-body")
  if collapse == nil then
    local header = pandoc.Div({icon_box, title_box},
      pandoc.Attr("", {"callout-header", "d-flex", "align-content-center"}))
    return pandoc.Div({header, body}, outer), false
  end
  -- The browser's own disclosure element: it works from the keyboard and without a script.
  local open = collapse == "false" and " open" or ""
  return pandoc.Div({
    pandoc.RawBlock("html", '<details class="callout-collapse"' .. open .. ' id="' .. identifier
      .. '"><summary class="callout-header d-flex align-content-center">'),
    icon_box, title_box,
    pandoc.RawBlock("html", "</summary>"),
    body,
    pandoc.RawBlock("html", "</details>"),
  }, outer), false
end

-- Tab panels ---------------------------------------------------------------------------------

local function tabset(div)
  if not div.classes:includes("panel-tabset") then return nil end
  local level
  local tabs = pandoc.List()
  for _, block in ipairs(div.content) do
    if block.t == "Header" and (level == nil or block.level == level) then
      level = block.level
      tabs:insert({
        title = block.content,
        active = block.classes:includes("active"),
        content = pandoc.Blocks({}),
      })
    elseif #tabs > 0 then
      tabs[#tabs].content:insert(block)
    end
  end
  if #tabs == 0 then error("a panel-tabset needs headings, one for each tab") end
  local chosen = 1
  for index, tab in ipairs(tabs) do
    if tab.active then chosen = index end
  end
  counter.tabset = counter.tabset + 1
  local name = "tabset-" .. counter.tabset
  local bar = pandoc.Plain({raw('<ul class="nav nav-tabs'
    .. (page == "revealjs" and " panel-tabset-tabby" or "") .. '" role="tablist">')})
  local panes = pandoc.Blocks({})
  for index, tab in ipairs(tabs) do
    local pane = name .. "-" .. index
    local active = index == chosen
    bar.content:insert(raw('<li class="nav-item" role="presentation">'))
    bar.content:insert(raw(string.format(
      '<a class="nav-link%s" role="tab" id="%s-tab" href="#%s" aria-controls="%s"',
      active and " active" or "", pane, pane, pane)))
    bar.content:insert(raw(active and ' aria-selected="true" tabindex="0">'
      or ' aria-selected="false" tabindex="-1">'))
    bar.content:extend(tab.title)
    bar.content:insert(raw("</a></li>"))
    panes:insert(pandoc.Div(tab.content, pandoc.Attr(pane,
      active and {"tab-pane", "active"} or {"tab-pane"},
      {{"role", "tabpanel"}, {"aria-labelledby", pane .. "-tab"}})))
  end
  bar.content:insert(raw("</ul>"))
  return pandoc.Div({bar, pandoc.Div(panes, pandoc.Attr("", {"tab-content"}))}, div.attr)
end

-- Elements placed by coordinates -------------------------------------------------------------

local function place(element)
  if page ~= "revealjs" or not element.classes:includes("absolute") then return nil end
  local style = element.attributes["style"] or ""
  for _, name in ipairs({"top", "left", "bottom", "right", "width", "height"}) do
    local value = element.attributes[name]
    if value then
      style = style .. name .. ": " .. (tonumber(value) and value .. "px" or value) .. "; "
      element.attributes[name] = nil
    end
  end
  element.attributes["style"] = style
  return element
end

-- A pause has no meaning in notes.
local function pause(paragraph)
  if page ~= "revealjs" and pandoc.utils.stringify(paragraph) == ". . ." then return {} end
end

local function quote(block)
  -- pandoc reads a list alone in a quotation as a request for fragments; a div prevents that.
  if page == "revealjs" and #block.content == 1 and block.content[1].t == "BulletList" then
    block.content = pandoc.Blocks({pandoc.Div(block.content, pandoc.Attr("", {"quoted-list"}))})
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

function Pandoc(doc)
  page = pandoc.utils.stringify(doc.meta["render-format"])
  settings = doc.meta["render-settings"] or {}
  doc.blocks = doc.blocks:walk({Para = pause, BlockQuote = quote, Table = widths})
  doc.blocks = doc.blocks:walk({Div = function(div) return callout(div) or tabset(div) end})
  doc.blocks = doc.blocks:walk({Div = place, Span = place, Image = place})
  return doc
end
