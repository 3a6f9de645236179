use proptest::prelude::*;

use super::*;

fn reads_back(value: &Value) {
    let text = write(value);
    assert_eq!(&read(&text).unwrap(), value, "{text}");
}

#[test]
fn every_primitive_round_trips() {
    for value in [
        Value::Null,
        "a <b> & \"c\" _x000A_ \u{1f600}\r\n\t \u{85}".into(),
        "   ".into(),
        "".into(),
        Value::Char(0xd83d),
        Value::Bool(true),
        Value::DateTime("2021-05-03T10:00:00.1234567+02:00".into()),
        Value::Duration("P1DT2H3M4.5S".into()),
        Value::Duration("not\u{1}one".into()),
        Value::U8(255),
        Value::I8(-128),
        Value::U16(65535),
        Value::I16(-32768),
        Value::U32(u32::MAX),
        Value::I32(i32::MIN),
        Value::U64(u64::MAX),
        Value::I64(i64::MIN),
        Value::Single(1.5e-30),
        Value::Double(f64::MAX),
        Value::Double(f64::NEG_INFINITY),
        Value::Decimal("-79228162514264337593543950335.5".into()),
        Value::Bytes(vec![0, 1, 254, 255]),
        Value::Bytes(Vec::new()),
        Value::Guid(Uuid::from_u128(5)),
        Value::Uri("http://litwareinc.com/?a=1&b=2".into()),
        Value::Version("1.2.3.4".into()),
        Value::Xml("<a b=\"c\">d</a>".into()),
        Value::ScriptBlock("{ $_ }".into()),
        Value::Secure(Secure::Wire(vec![1, 2, 3])),
    ] {
        reads_back(&value);
    }
    assert!(matches!(read("<Db>NaN</Db>").unwrap(), Value::Double(n) if n.is_nan()));
    assert_eq!(write(&Value::Double(f64::INFINITY)), "<Db>INF</Db>");
}

#[test]
fn objects_round_trip_completely() {
    reads_back(
        &Object {
            type_names: type_names(["Deserialized.A", "System.Object"]),
            to_string: Some("an _x A".into()),
            content: Content::Stack(vec![
                Value::array([Value::enumeration("System.ConsoleColor", "Red", 12)]),
                Value::dictionary([("k".into(), Value::primitive_dictionary([]))]),
                Object { content: Content::Queue(vec![]), ..Object::default() }.into(),
                Object { content: Content::Enumerable(vec![Value::Null]), ..Object::default() }.into(),
            ]),
            adapted: vec![("a \"quoted\" & <odd>\n name".into(), Value::I32(1))],
            extended: vec![("".into(), "b".into())],
        }
        .into(),
    );
}

#[test]
fn shared_objects_stay_shared() {
    let shared = Value::custom_object([("A", 1)].map(|(name, n)| (name, Value::I32(n))));
    let value = Value::array([shared.clone(), shared]);
    let text = write(&value);
    assert_eq!(text.matches("<Ref RefId=\"1\" />").count(), 1, "{text}");
    let back = read(&text).unwrap();
    let [Value::Object(a), Value::Object(b)] = back.items().unwrap() else { panic!("{back:?}") };
    assert!(Arc::ptr_eq(a, b));
}

#[test]
fn a_self_reference_is_read_as_null() {
    let value =
        read("<Obj RefId=\"0\"><MS><Ref N=\"Parent\" RefId=\"0\" /><I32 N=\"A\">1</I32></MS></Obj>").unwrap();
    assert_eq!(value.property("parent"), Some(&Value::Null));
    assert_eq!(value.property("a"), Some(&Value::I32(1)));
}

#[test]
fn lone_surrogates_and_odd_layout_are_accepted() {
    assert_eq!(read("<S>a_xD83D_b</S>").unwrap(), "a\u{fffd}b".into());
    assert_eq!(
        read("\u{feff}<?xml version=\"1.0\"?>\n<S>&lt;&#65;<![CDATA[<]]></S>\n").unwrap(),
        "<A<".into()
    );
    assert_eq!(read("<Obj>\n <I32>5</I32>\n</Obj>").unwrap().as_i32(), Some(5));
    assert_eq!(
        read("<Objs Version=\"1.1.0.1\" xmlns=\"http://schemas.microsoft.com/powershell/2004/04\"><B>true</B></Objs>")
            .unwrap(),
        true.into()
    );
}

#[test]
fn invalid_clixml_is_an_error() {
    for text in [
        "",
        "hello",
        "<S>a",
        "<S>a</B>",
        "<S>a</S><S>b</S>",
        "<X/>",
        "<I32>x</I32>",
        "<I32>2147483648</I32>",
        "<B>perhaps</B>",
        "<G>1</G>",
        "<BA>*</BA>",
        "<D>1.2.3</D>",
        "<Ref RefId=\"1\"/>",
        "<Ref/>",
        "<Obj><TNRef RefId=\"0\"/></Obj>",
        "<Obj><I32>1</I32><I32>1</I32></Obj>",
        "<Obj><MS><I32>1</I32></MS></Obj>",
        "<Obj><DCT><En><S N=\"Key\">a</S></En></DCT></Obj>",
        "<Obj><LST>text</LST></Obj>",
        "<S>&undefined;</S>",
        "<!DOCTYPE a [<!ENTITY b \"c\">]><S>&b;</S>",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

#[test]
fn nesting_and_references_count_as_depth() {
    let nested = |n: usize| format!("{}<Nil/>{}", "<Obj><LST>".repeat(n), "</LST></Obj>".repeat(n));
    assert!(read(&nested(99)).is_ok());
    assert!(matches!(read(&nested(100)), Err(ReadError::TooDeep(100))));
    assert!(matches!(read(&nested(1_000_000)), Err(ReadError::TooDeep(100))));

    // A chain of references is as deep as nested elements.
    let links: String =
        (1..200).map(|n| format!("<Obj RefId=\"{n}\"><LST><Ref RefId=\"{}\"/></LST></Obj>", n - 1)).collect();
    let chain = format!("<Obj><LST><Obj RefId=\"0\"><LST/></Obj>{links}</LST></Obj>");
    assert!(matches!(read(&chain), Err(ReadError::TooDeep(_))));
}

#[test]
fn excessive_references_are_refused() {
    let doubling: String = (1..60)
        .map(|n| {
            format!("<Obj RefId=\"{n}\"><LST><Ref RefId=\"{0}\"/><Ref RefId=\"{0}\"/></LST></Obj>", n - 1)
        })
        .collect();
    let bomb = format!("<Obj><LST><Obj RefId=\"0\"><LST/></Obj>{doubling}</LST></Obj>");
    assert!(matches!(read(&bomb), Err(ReadError::TooManyReferences(_))));

    let limits = Limits { size: 4000, ..Limits::default() };
    assert!(matches!(
        read_with(&"a".repeat(5000), limits, &mut Names::default()),
        Err(ReadError::TooLarge(4000))
    ));
}

#[test]
fn values_share_their_names_but_no_long_ones() {
    let text = |name: &str| format!("<Obj><TN><T>{name}</T></TN><MS><I32 N=\"{name}\">1</I32></MS></Obj>");
    let mut names = Names::default();
    let mut shared = |name: &str| {
        let [a, b] = [(); 2].map(|()| read_shared(&text(name), &mut names).unwrap());
        let (a, b) = (a.as_object().unwrap(), b.as_object().unwrap());
        (Arc::ptr_eq(&a.type_names, &b.type_names), Arc::ptr_eq(&a.extended[0].0, &b.extended[0].0))
    };
    assert_eq!(shared("DisplayName"), (true, true));
    assert_eq!(shared(&"a".repeat(257)), (false, false));
}

#[test]
fn deep_values_are_written_without_overflow() {
    let mut value = Value::Null;
    for _ in 0..2000 {
        value = Value::array([value]);
    }
    assert!(write(&value).len() < 100_000);
}

#[test]
fn debug_output_shows_no_secret() {
    let value = Value::array([
        Value::secure("hunter2".to_owned().into()),
        Value::Secure(Secure::Wire(b"h\0u\0".to_vec())),
    ]);
    let shown = format!("{value:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("104"), "{shown}");
}

/// Strings with many characters that CLIXML must escape.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[_xX0-9A-F<>&\"'\r\n \u{1f600}\u{ffff}]{0,12}"]
}

fn primitive() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        text().prop_map(Value::String),
        text().prop_map(Value::Uri),
        text().prop_map(Value::Xml),
        text().prop_map(Value::ScriptBlock),
        any::<u16>().prop_map(Value::Char),
        any::<bool>().prop_map(Value::Bool),
        any::<u8>().prop_map(Value::U8),
        any::<i8>().prop_map(Value::I8),
        any::<u16>().prop_map(Value::U16),
        any::<i16>().prop_map(Value::I16),
        any::<u32>().prop_map(Value::U32),
        any::<i32>().prop_map(Value::I32),
        any::<u64>().prop_map(Value::U64),
        any::<i64>().prop_map(Value::I64),
        any::<f32>().prop_filter("NaN is not itself", |n| !n.is_nan()).prop_map(Value::Single),
        any::<f64>().prop_filter("NaN is not itself", |n| !n.is_nan()).prop_map(Value::Double),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bytes),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Value::Secure(Secure::Wire(bytes))),
        any::<u128>().prop_map(|n| Value::Guid(Uuid::from_u128(n))),
        "[0-9]{1,4}\\.[0-9]{1,4}".prop_map(Value::Version),
        "-?[0-9]{1,20}(\\.[0-9]{1,8})?".prop_map(Value::Decimal),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    primitive().prop_recursive(4, 40, 4, |inner| {
        let items = || prop::collection::vec(inner.clone(), 0..4);
        let named = || prop::collection::vec((text().prop_map(Name::from), inner.clone()), 0..3);
        let content = prop_oneof![
            Just(Content::None),
            inner.clone().prop_map(Content::Primitive),
            items().prop_map(Content::List),
            items().prop_map(Content::Enumerable),
            items().prop_map(Content::Stack),
            items().prop_map(Content::Queue),
            prop::collection::vec((inner.clone(), inner.clone()), 0..3).prop_map(Content::Dictionary),
        ];
        (
            prop::collection::vec(text(), 0..3).prop_map(type_names),
            prop::option::of(text()),
            content,
            named(),
            named(),
        )
            .prop_map(|(type_names, to_string, content, adapted, extended)| {
                Object { type_names, to_string, content, adapted, extended }.into()
            })
    })
}

proptest! {
    #[test]
    fn any_value_round_trips(value in value()) {
        let text = write(&value);
        prop_assert_eq!(read(&text).unwrap(), value);
    }

    #[test]
    fn display_text_never_panics(value in value(), odd in text()) {
        let _ = value.display_text();
        let _ = (Value::DateTime(odd.clone()).display_text(), Value::Duration(odd).display_text());
    }

    #[test]
    fn garbage_never_panics(text in "(<(Obj|S|LST|MS|TN|T|Ref|DCT|En|I32|/Obj|/MS|/S)( N=\"(Key|Value)\")?( RefId=\"[0-2]\")?/?>|.){0,30}") {
        let _ = read(&text);
    }
}

/// Written by PowerShell 7.6.9.
#[test]
fn a_progress_record_is_read_as_an_object() {
    let text = |operation: &str| {
        format!(
            "<Obj RefId=\"0\"><LST><PR><AV>act</AV><AI>1</AI>{operation}<PI>-1</PI><PC>50</PC><T>Processing</T>\
             <SR>7</SR><SD>st</SD></PR></LST></Obj>"
        )
    };
    let list = read(&text("<S>op</S>")).unwrap();
    let [record] = list.items().unwrap() else { panic!("{list:?}") };
    assert!(record.is_type("System.Management.Automation.ProgressRecord"));
    for (name, expected) in [
        ("ActivityId", Value::I32(1)),
        ("ParentActivityId", Value::I32(-1)),
        ("Activity", Value::string("act")),
        ("StatusDescription", Value::string("st")),
        ("CurrentOperation", Value::string("op")),
        ("PercentComplete", Value::I32(50)),
        ("SecondsRemaining", Value::I32(7)),
        ("RecordType", Value::string("Processing")),
    ] {
        assert_eq!(record.property(name), Some(&expected), "{name}");
    }
    let expected = "parent = -1 id = 1 act = act stat = st cur = op pct = 50 sec = 7 type = Processing";
    assert_eq!(record.display_text(), expected);
    assert!(
        read(&text("<Nil />")).unwrap().items().unwrap()[0].property("CurrentOperation").unwrap().is_null()
    );
    assert!(read(&text("<PC>x</PC>")).is_err());
}
