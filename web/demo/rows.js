// Files as rows: TSV, CSV and lines of JSON, in the formats of the command line (docs/cli.md).
//
// A format is a generator function that is fed pieces of text and yields [key, value] pairs of strings. It holds only
// the row that is not complete yet. Bytes that are no text are the native program's business.

/** The format that a file's name tells; TSV if none. */
export function formatOf(fileName) {
  if (/\.csv$/i.test(fileName)) return "csv";
  if (/\.(jsonl|ndjson)$/i.test(fileName)) return "jsonl";
  return "tsv";
}

/** Reads rows of `format` out of a stream of bytes: lists of [key, value, bytes read so far]. */
export async function* rows(stream, format) {
  const parser = { csv: new Csv(), jsonl: new Lines(ofJson), tsv: new Lines(ofTsv) }[format];
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let read = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    read += value.length;
    yield { rows: parser.feed(decoder.decode(value, { stream: true })), read };
  }
  yield { rows: [...parser.feed(decoder.decode()), ...parser.end()], read };
}

/** Rows that are lines. */
class Lines {
  #rest = "";
  #line = 0;
  #read;

  constructor(read) {
    this.#read = read;
  }

  feed(text) {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop();
    return lines.flatMap((line) => this.#row(line));
  }

  end() {
    return this.#rest ? this.#row(this.#rest) : [];
  }

  #row(line) {
    this.#line += 1;
    const plain = line.endsWith("\r") ? line.slice(0, -1) : line;
    if (!plain) return [];
    try {
      return [this.#read(plain)];
    } catch (error) {
      throw new Error(`line ${this.#line}: ${error.message}`);
    }
  }
}

function ofTsv(line) {
  const tab = line.indexOf("\t");
  if (tab < 1) throw new Error("a row is KEY TAB VALUE");
  return [unescape(line.slice(0, tab)), unescape(line.slice(tab + 1))];
}

function ofJson(line) {
  const { key, value } = JSON.parse(line);
  if (typeof key !== "string" || typeof value !== "string") {
    throw new Error('a row is {"key": "…", "value": "…"}');
  }
  return [key, value];
}

const ESCAPES = { "\\": "\\", t: "\t", n: "\n", r: "\r" };

function unescape(text) {
  if (!text.includes("\\")) return text;
  return text.replace(/\\(x[0-7][0-9a-fA-F]|[\s\S]|$)/g, (escape, what) => {
    if (what.length === 3) return String.fromCharCode(parseInt(what.slice(1), 16));
    if (what in ESCAPES) return ESCAPES[what];
    throw new Error(`${escape} is no escape of text`);
  });
}

/** RFC 4180 with a header. The first column is the key; of several others the value is a JSON object. */
class Csv {
  #header;
  #fields = [];
  #field = "";
  #quoted = false;
  /** Whether the last character was a quote inside a quoted field: its end, or half of a quote. */
  #quote = false;

  feed(text) {
    const found = [];
    for (const character of text) {
      if (this.#quoted && !this.#quote) {
        if (character === '"') this.#quote = true;
        else this.#field += character;
      } else if (character === '"' && this.#quote) {
        this.#field += character;
        this.#quote = false;
      } else if (character === '"' && !this.#field) {
        this.#quoted = true;
      } else if (character === ",") {
        this.#endField();
      } else if (character === "\n") {
        found.push(...this.#endRow());
      } else if (character !== "\r") {
        this.#field += character;
      }
    }
    return found;
  }

  end() {
    if (this.#quoted && !this.#quote) throw new Error("the file ends within quotes");
    return this.#field || this.#fields.length ? this.#endRow() : [];
  }

  #endField() {
    this.#fields.push(this.#field);
    this.#field = "";
    this.#quoted = false;
    this.#quote = false;
  }

  #endRow() {
    this.#endField();
    const fields = this.#fields;
    this.#fields = [];
    if (fields.length === 1 && !fields[0]) return [];
    if (!this.#header) {
      this.#header = fields;
      return [];
    }
    const [key, ...others] = fields;
    if (!key) throw new Error("a row has no key in its first column");
    if (others.length < 2) return [[key, others[0] ?? ""]];
    return [[key, JSON.stringify(Object.fromEntries(others.map((value, at) => [this.#header[at + 1] ?? `column ${at + 2}`, value])))]];
  }
}
