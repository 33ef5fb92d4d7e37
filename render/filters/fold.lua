-- Folded code: a disclosure around the code of a cell. Runs last, when figures have been separated
-- from the code above them.

local settings = {}

local function setting(name)
  local value = settings[name]
  if value == nil then return nil end
  return pandoc.utils.stringify(value)
end

local function fold(block)
  if not block.classes:includes("cell-code") then return nil end
  local wanted = block.attributes["code-fold"] or setting("code-fold") or "false"
  local summary = block.attributes["code-summary"] or setting("code-summary") or "Code"
  block.attributes["code-fold"] = nil
  block.attributes["code-summary"] = nil
  if wanted == "false" or wanted == "0" then return block end
  local open = wanted == "show" and " open" or ""
  local title = pandoc.utils.blocks_to_inlines(pandoc.read(summary, "markdown").blocks)
  local tag = "<details" .. open .. ' class="code-fold"><summary>'
  local head = pandoc.Plain({pandoc.RawInline("html", tag)})
  head.content:extend(title)
  head.content:insert(pandoc.RawInline("html", "</summary>"))
  return {head, block, pandoc.RawBlock("html", "</details>")}, false
end

function Pandoc(doc)
  settings = doc.meta["render-settings"] or {}
  doc.blocks = doc.blocks:walk({traverse = "topdown", CodeBlock = fold})
  return doc
end
