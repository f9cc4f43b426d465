# manual.awk - a page of the manual as it is installed: its links lead to what is there.
#
# awk -f manual.awk -v page=docs/start.md -v manual=DIR -v headers=DIR -v units=DIR \
#     -v files='README.md docs/start.md ...' docs/start.md
#
# The manual (`files`) lies below DIR as it does in the tree, so that links from page
# to page stay as they are. Headers and units lie elsewhere: such a link leads there,
# by a relative path, since DESTDIR may be in front of all. What is not installed has
# no link: its text stays.

BEGIN {
  n = split(files, list, " ")
  for (i = 1; i <= n; i++) {
    there[list[i]]
    there[folder(list[i])]
  }
}

function folder(path) {
  return sub(/\/[^\/]*$/, "", path) ? path : ""
}

# Without any `.` and `..`.
function plain(path,    part, n, i, out) {
  n = split(path, part, "/")
  out = ""
  for (i = 1; i <= n; i++) {
    if (part[i] == "..") out = folder(out)
    else if (part[i] != "." && part[i] != "") out = out == "" ? part[i] : out "/" part[i]
  }
  return out
}

# One folder or file, seen from another folder; both begin with a slash.
function relative(to, from,    a, b, n, m, i, out) {
  n = split(plain(to), a, "/")
  m = split(plain(from), b, "/")
  for (i = 1; i <= n && i <= m && a[i] == b[i];) i++
  out = ""
  for (n = i; n <= m; n++) out = out "../"
  for (n = i; n in a; n++) out = out a[n] (n + 1 in a ? "/" : "")
  return out
}

# Where a link leads in the installation; "" when that is not installed.
function led(link,    path) {
  if (link ~ /^[a-z]+:/) return link
  path = plain(folder(page) "/" link)
  if (path in there) return link
  if (path ~ /^abi\/yoi\.h$/ || path ~ /^abi\/(yoi|sdk)(\/[^\/]*\.h)?$/)
    path = headers substr(path, 4)
  else if (sub(/^docs\/install\/yoi-host\./, units "/yoi-host.", path)) sub(/\.in$/, "", path)
  else return ""
  return relative(path, manual "/" folder(page))
}

# The text before a link without the bracket that opens it.
function unlinked(text,    i, depth, c) {
  for (i = length(text); i > 0; i--) {
    c = substr(text, i, 1)
    if (c == "]") depth++
    if (c == "[" && depth-- == 0) return substr(text, 1, i - 1) substr(text, i + 1)
  }
  return text
}

{ text = text $0 "\n" }

END {
  done = ""
  while (match(text, /\]\([^)# \t\n]+(#[^)\n]*)?\)/)) {
    link = substr(text, RSTART + 2, RLENGTH - 3)
    anchor = index(link, "#") ? substr(link, index(link, "#")) : ""
    link = substr(link, 1, length(link) - length(anchor))
    done = done substr(text, 1, RSTART - 1)
    text = substr(text, RSTART + RLENGTH)
    link = led(link)
    done = link == "" ? unlinked(done) : done "](" link anchor ")"
  }
  printf "%s", done text
}
