-- What pandoc's reader of notebooks leaves as it is, made ready for Typst.

-- GitHub's Markdown reads as Jupyter's does; pandoc's own sees lists where none are.
local READERS = { html = "html", latex = "latex", markdown = "gfm" }

local function math(element)
  -- \| is set as a relation, \Vert as the bar it is. A pair \\ is the end of a line.
  local text = element.text
    :gsub("\\\\", "\0"):gsub("\\|", "\\Vert "):gsub("%z", "\\\\")
    :gsub("\\label%b{}", "")
  return pandoc.Math(element.mathtype, text)
end

local function inline(raw)
  if raw.text:match("^<br") then
    return pandoc.LineBreak()
  elseif raw.text:match("^<img") then
    return pandoc.utils.blocks_to_inlines(pandoc.read(raw.text, "html").blocks)
  end
end

-- Markdown, tables of pandas and formulas: text of the notebook, or of its outputs.
local function block(raw)
  if READERS[raw.format] then
    -- Pandoc would fetch what a frame shows.
    local text = raw.text:gsub("</?iframe[^>]*>", "") .. "\n"
    local blocks = pandoc.read(text, READERS[raw.format]).blocks
    local display = raw.format == "latex" and function(formula)
      return pandoc.Math("DisplayMath", formula.text)
    end
    return blocks:walk({ RawBlock = block, RawInline = inline, Math = display or nil })
  end
end

-- A column of numbers stands to the right. Columns are counted from the right, where
-- no cell of an earlier row reaches down.
local function align(tbl)
  local numeric = {}
  for _, body in ipairs(tbl.bodies) do
    for _, row in ipairs(body.body) do
      for place, cell in ipairs(row.cells) do
        local column = #row.cells - place
        local text = pandoc.utils.stringify(cell.contents)
        if text:match("%a%a") and text ~= "NaN" or text:match("/") then
          numeric[column] = false
        elseif text:match("%d") and numeric[column] == nil then
          numeric[column] = true
        end
      end
    end
  end
  for place, spec in ipairs(tbl.colspecs) do
    if spec[1] == "AlignDefault" then
      local right = numeric[#tbl.colspecs - place]
      tbl.colspecs[place] = { right and "AlignRight" or "AlignLeft", spec[2] }
    end
  end
  return tbl
end

-- The outputs' pictures are in pandoc's bag, others lie beside the notebook. Nothing is
-- fetched from the network: a picture that is there alone becomes a link.
local function picture(image)
  if image.src:match("^%a[%w+.-]*://") or image.src:match("^//") then
    local words = #image.caption > 0 and image.caption or { pandoc.Str(image.src) }
    return pandoc.Link(words, image.src)
  end
  local found, kind, bytes = pcall(pandoc.mediabag.fetch, image.src)
  if not found then
    io.stderr:write("no picture ", image.src)
    os.exit(3)
  end
  local name = pandoc.sha1(bytes) .. "." .. (kind:match("/(%a+)") or "png")
  pandoc.mediabag.insert(name, kind, bytes)
  image.src = "media/" .. name
  return image
end

local function alone(paragraph)
  local content = paragraph.content[1]
  if #paragraph.content == 1 and content.t == "Image" then
    return pandoc.RawBlock("typst", '#picture("' .. content.src .. '")')
  end
end

-- Links within the notebook. Jupyter keeps capitals and dots in the names of headings.
local anchors = {}

local function anchor(header)
  local name = header.identifier
  header.identifier = anchors[name] and "" or name
  anchors[name] = name
  local text = pandoc.utils.stringify(header.content):gsub(" ", "-")
  anchors[text] = anchors[text] or name
  return header
end

local function link(element)
  local name = element.target:match("^#(.*)")
  if name == nil then return nil end
  if anchors[name] == nil then return element.content end
  element.target = "#" .. anchors[name]
  return element
end

-- Cells and outputs leave no box around them; printed text is known by its language,
-- code that a cell shows keeps its own.
local function printed(code)
  if code.classes:includes("python") then return nil end
  return pandoc.CodeBlock(code.text:gsub("%s+$", ""), { "", { "output" } })
end

local function flat(div)
  if div.classes:includes("output") then
    return div.content:walk({ CodeBlock = printed })
  end
  -- What a cell prints before its table or figure stays with it.
  for place = 1, #div.content - 1 do
    local one = div.content[place]
    if one.t == "CodeBlock" and one.classes:includes("output") then
      one.classes = { "followed" }
    end
  end
  return div.content
end

function Pandoc(doc)
  doc = doc:walk({ RawBlock = block })
  doc = doc:walk({ Math = math, Image = picture, Table = align, Header = anchor })
  doc = doc:walk({ Link = link, Para = alone, Plain = alone, Div = flat })
  table.insert(doc.blocks, 2, pandoc.RawBlock("typst", "#opening()"))
  pandoc.mediabag.write("media")
  return doc
end
