-- Keeps or removes content by format: content-visible and content-hidden, on divs, spans and code.
-- `html` holds for slides as well, because revealjs is an HTML format; `unless-format="revealjs"`
-- therefore means "notes only".

local page = "html"
local metadata = {}

local function is_format(name)
  if name == "html" then return true end
  if name == "html:js" then return true end
  return name == page
end

local function is_set(key)
  local value = metadata
  for part in key:gmatch("[^.]+") do
    if type(value) ~= "table" then return false end
    value = value[part]
  end
  return value == true
end

local tests = {
  ["when-format"] = is_format,
  ["unless-format"] = function(name) return not is_format(name) end,
  ["when-meta"] = is_set,
  ["unless-meta"] = function(key) return not is_set(key) end,
}

local function holds(element)
  local result = true
  for name, test in pairs(tests) do
    local value = element.attributes[name]
    if value ~= nil then
      result = result and test(value)
      element.attributes[name] = nil
    end
  end
  return result
end

local function decide(element)
  local visible = element.classes:includes("content-visible")
  local hidden = element.classes:includes("content-hidden")
  if not (visible or hidden) then return nil end
  local keep = holds(element)
  if hidden then keep = not keep end
  element.classes = element.classes:filter(function(class)
    return class ~= "content-visible" and class ~= "content-hidden"
  end)
  return keep, element
end

local filter = {
  traverse = "topdown",
  Div = function(div)
    local keep, element = decide(div)
    if keep == nil then return nil end
    if not keep then return {}, false end
    return element.content:walk(filter_again), false
  end,
  Span = function(span)
    local keep, element = decide(span)
    if keep == nil then return nil end
    if not keep then return {} end
    return element
  end,
  CodeBlock = function(block)
    local keep, element = decide(block)
    if keep == nil then return nil end
    if not keep then return {} end
    return element
  end,
}
filter_again = filter

function Pandoc(doc)
  page = pandoc.utils.stringify(doc.meta["render-format"])
  metadata = doc.meta
  doc.blocks = doc.blocks:walk(filter)
  return doc
end
