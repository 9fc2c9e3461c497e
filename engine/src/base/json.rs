//! Writes the JSON of reports and statistics: objects and arrays of numbers, strings and truths.
//!
//! It only writes, and only what the engine reports, which is why no JSON library is linked into the component.

use std::fmt::Write;

/// A JSON object or array under construction.
#[derive(Debug)]
pub struct Json {
    text: String,
    close: char,
}

impl Json {
    /// An object: members are added with [`Json::member`].
    pub fn object() -> Self {
        Self { text: "{".into(), close: '}' }
    }

    /// An array: elements are added with [`Json::element`].
    pub fn array() -> Self {
        Self { text: "[".into(), close: ']' }
    }

    /// Adds a member to an object.
    pub fn member(mut self, name: &str, value: impl Value) -> Self {
        self.comma();
        name.write(&mut self.text);
        self.text.push(':');
        value.write(&mut self.text);
        self
    }

    /// Adds an element to an array.
    pub fn element(mut self, value: impl Value) -> Self {
        self.comma();
        value.write(&mut self.text);
        self
    }

    /// The finished text.
    pub fn finish(mut self) -> String {
        self.text.push(self.close);
        self.text
    }

    fn comma(&mut self) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
    }
}

/// What can stand as a value.
pub trait Value {
    /// Appends the value's text.
    fn write(&self, out: &mut String);
}

impl Value for u64 {
    fn write(&self, out: &mut String) {
        let _infallible = write!(out, "{self}");
    }
}

impl Value for f64 {
    fn write(&self, out: &mut String) {
        // By whole numbers: the library's way to write fractions would be a fiftieth of the browser's module.
        let finite = if self.is_finite() { *self } else { 0.0 };
        let thousandths = (finite.abs() * 1000.0).round() as u64;
        let sign = if finite < 0.0 && thousandths > 0 { "-" } else { "" };
        let _infallible = write!(out, "{sign}{}.{:03}", thousandths / 1000, thousandths % 1000);
    }
}

impl Value for bool {
    fn write(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }
}

impl Value for &str {
    fn write(&self, out: &mut String) {
        out.push('"');
        for c in self.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                c if u32::from(c) < 0x20 => {
                    let _infallible = write!(out, "\\u{:04x}", u32::from(c));
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

impl Value for Json {
    fn write(&self, out: &mut String) {
        out.push_str(&self.text);
        out.push(self.close);
    }
}

impl<T: Value> Value for Option<T> {
    fn write(&self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => out.push_str("null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_have_three_digits() {
        let written = |value: f64| {
            let mut text = String::new();
            value.write(&mut text);
            text
        };
        let cases =
            [(0.0, "0.000"), (0.0005, "0.001"), (-0.0001, "0.000"), (-1.5, "-1.500"), (12.3456, "12.346")];
        for (value, text) in cases {
            assert_eq!(written(value), text);
        }
        assert_eq!(written(f64::NAN), "0.000");
    }

    #[test]
    fn objects_nest() {
        let inner = Json::array().element(1).element("a\"\\\n");
        let text =
            Json::object().member("n", 7).member("x", 0.5).member("list", inner).member("none", None::<u64>);
        assert_eq!(text.finish(), r#"{"n":7,"x":0.500,"list":[1,"a\"\\\u000a"],"none":null}"#);
    }
}
