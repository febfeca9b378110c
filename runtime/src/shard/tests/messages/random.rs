//! Random schemas: their text, and the same as JSON for the script that makes their values.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// xorshift64*: the same numbers for the same seed, everywhere.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next()).unwrap() % n
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

const PRIMITIVES: [&str; 14] = [
    "Void", "Bool", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64",
    "Float32", "Float64", "Text", "Data",
];

/// A schema with an interface `P`, whose one method takes and returns `S0`.
pub(super) struct RandomSchema {
    pub(super) text: String,
    /// `{ structs: { S0: [field] }, enums: { E0: [name] } }`, a field being
    /// `{ name, type, default, union, group }`.
    pub(super) description: Value,
}

struct Maker<'a> {
    random: &'a mut Random,
    structs: usize,
    enums: Vec<usize>,
    ordinal: usize,
    text: String,
}

pub(super) fn schema(random: &mut Random) -> RandomSchema {
    let structs = 1 + random.below(4);
    let enums = (0..2).map(|_| 1 + random.below(5)).collect();
    let mut maker = Maker {
        random,
        structs,
        enums,
        ordinal: 0,
        text: String::new(),
    };
    maker
        .text
        .push_str("@0xd1f2a85b60c943f1;\ninterface P { go @0 S0 -> S0; }\n");
    let mut enums = serde_json::Map::new();
    for (index, count) in maker.enums.clone().into_iter().enumerate() {
        let names: Vec<String> = (0..count).map(|n| format!("e{index}x{n}")).collect();
        let members: Vec<String> = names
            .iter()
            .enumerate()
            .map(|(n, name)| format!("{name} @{n};"))
            .collect();
        let _ = writeln!(maker.text, "enum E{index} {{ {} }}", members.join(" "));
        enums.insert(format!("E{index}"), json!(names));
    }
    let mut described = serde_json::Map::new();
    for index in 0..structs {
        let _ = writeln!(maker.text, "struct S{index} {{");
        maker.ordinal = 0;
        let fields = maker.fields(2, 12);
        maker.text.push_str("}\n");
        described.insert(format!("S{index}"), fields);
    }
    RandomSchema {
        text: maker.text,
        description: json!({ "structs": described, "enums": enums }),
    }
}

impl Maker<'_> {
    /// Members of a struct or group, with an unnamed union among them at times.
    fn fields(&mut self, depth: usize, most: usize) -> Value {
        let mut fields = Vec::new();
        for _ in 0..1 + self.random.below(most) {
            fields.push(self.field(depth, false, false));
        }
        if self.random.chance(40) {
            self.text.push_str("  union {\n");
            self.members(depth, &mut fields);
            self.text.push_str("  }\n");
        }
        Value::Array(fields)
    }

    fn members(&mut self, depth: usize, fields: &mut Vec<Value>) {
        for member in 0..2 + self.random.below(4) {
            fields.push(self.field(depth, true, member == 0));
        }
    }

    /// The reference writes an absent struct that is a union's first member as a whole struct, and
    /// would never end where that one begins with such a union too: there it is another type.
    fn field(&mut self, depth: usize, in_union: bool, is_first: bool) -> Value {
        if depth > 0 && self.random.chance(15) {
            // A group has no ordinal: its name comes from the first one inside.
            let name = format!("g{}", self.ordinal);
            let is_union = self.random.chance(40);
            let _ = writeln!(
                self.text,
                "  {name} :{} {{",
                if is_union { "union" } else { "group" }
            );
            let mut inner = Vec::new();
            if is_union {
                self.members(depth - 1, &mut inner);
            } else {
                match self.fields(depth - 1, 3) {
                    Value::Array(fields) => inner = fields,
                    _ => unreachable!(),
                }
            }
            self.text.push_str("  }\n");
            return json!({ "name": name, "group": inner, "union": in_union });
        }
        let (ordinal, name) = (self.ordinal, format!("f{}", self.ordinal));
        self.ordinal += 1;
        let (ty, described) = loop {
            let (ty, described) = self.ty(2);
            if !(is_first && described.get("struct").is_some()) {
                break (ty, described);
            }
        };
        let default = if self.random.chance(30) {
            self.default(&described)
        } else {
            None
        };
        let (text, value) = default.map_or((String::new(), Value::Null), |(text, value)| {
            (format!(" = {text}"), value)
        });
        let _ = writeln!(self.text, "  {name} @{ordinal} :{ty}{text};");
        json!({ "name": name, "type": described, "default": value, "union": in_union })
    }

    /// As text, and as `"Int8"`, `{ list }`, `{ struct }`, `{ enum }`.
    fn ty(&mut self, depth: usize) -> (String, Value) {
        match self.random.below(if depth == 0 { 80 } else { 100 }) {
            0..60 => {
                let name = PRIMITIVES[self.random.below(PRIMITIVES.len())];
                (name.to_owned(), json!(name))
            }
            60..68 => {
                let name = format!("E{}", self.random.below(self.enums.len()));
                (name.clone(), json!({ "enum": name }))
            }
            68..80 => {
                let name = format!("S{}", self.random.below(self.structs));
                (name.clone(), json!({ "struct": name }))
            }
            _ => {
                let (text, inner) = self.ty(depth - 1);
                (format!("List({text})"), json!({ "list": inner }))
            }
        }
    }

    /// As text, and as the script sees it: numbers as their text.
    fn default(&mut self, ty: &Value) -> Option<(String, Value)> {
        let number = |text: String| Some((text.clone(), json!(text)));
        let bits = self.random.next();
        let few = i64::try_from(bits % 100).unwrap() - 50;
        match ty.as_str() {
            Some("Bool") => Some(("true".into(), json!(true))),
            Some("Int8" | "Int16" | "Int32" | "Int64") => number(few.to_string()),
            Some("UInt8") => number((bits % 256).to_string()),
            Some("UInt16") => number((bits % 65536).to_string()),
            Some("UInt32") => number((bits % (1 << 32)).to_string()),
            Some("UInt64") => number((bits * 65535).to_string()),
            Some("Float32" | "Float64") => number(format!("{few}.5")),
            Some("Text") => Some((format!("\"d{few}\""), json!(format!("d{few}")))),
            Some("Data") => Some(("0x\"0a0b\"".into(), json!([10, 11]))),
            Some(_) => None,
            None => {
                let name = ty.get("enum")?.as_str()?;
                let index: usize = name[1..].parse().unwrap();
                let member = format!("e{index}x{}", self.random.below(self.enums[index]));
                Some((member.clone(), json!(member)))
            }
        }
    }
}
