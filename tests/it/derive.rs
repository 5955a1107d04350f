//! What `#[derive(Resource)]` makes of a struct.

use std::sync::Arc;

use mgmt::graph::{GraphConfig, Kinds};
use mgmt::prelude::*;
use mgmt::resource::{FieldProblem, FieldReader, Kind, Resource as _, SECRET_PLACEHOLDER, Seconds, Value};
use schemars::JsonSchema;
use serde_json::{Map, Value as Json, json};

/// A type without a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Roof {
    Flat,
    Gabled,
}

/// A house.
/// It stands in a street.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:house", unwatched)]
struct House {
    /// Where it stands.
    #[resource(name)]
    address: String,
    /// Who built it.
    architect: String,
    roof: Roof,
    /// How many, without the kitchen.
    rooms: Option<u32>,
    #[resource(default)]
    tags: Vec<String>,
    #[resource(default = 2)]
    floors: u8,
    #[resource(default = "green")]
    colour: String,
    #[resource(default = Some(7))]
    limit: Option<u32>,
    key: Option<Secret<String>>,
    /// A word that Rust keeps for itself.
    r#type: Option<String>,
    #[resource(send)]
    r#loop: u64,
    /// The number on the door.
    #[resource(send)]
    number: String,
}

/// A kind whose fields have the names that the derive's own variables have.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:clash")]
struct Clash {
    #[resource(name)]
    name: String,
    draft: String,
    value: String,
    wire: u32,
    placeholder: Option<u32>,
    this: Option<u32>,
    #[resource(default)]
    data: u32,
    #[resource(default)]
    wired: u32,
    reader: Option<u32>,
    other: Option<u32>,
    field: Option<u32>,
    given: Option<u32>,
    f: Option<u32>,
    resource: Option<u32>,
    #[resource(send)]
    node: u64,
}

macro_rules! does_nothing {
    ($($kind:ty),+) => {$(
        impl Converge for $kind {
            type Drift = Change;
            async fn check(&self, _: &CheckCx) -> Result<Option<Change>> {
                Ok(None)
            }
            async fn apply(&self, _: &ApplyCx, _: Change) -> Result<()> {
                Ok(())
            }
        }
    )+};
}
/// A kind made by a `macro_rules` from fragments of all sorts, private like the kinds of programs: its unused parts
/// must not cause warnings.
#[deny(dead_code, reason = "an unused setter must not be a warning in a program")]
mod made_by_a_macro {
    use mgmt::prelude::*;

    macro_rules! kind {
        ($(#[$meta:meta])* $ident:ident, $kind:literal, $doc:expr, $name:ty, $size:ty, $default:expr, $number:literal) => {
            #[doc = $doc]
            #[derive(Resource, Clone, Debug, PartialEq)]
            $(#[$meta])*
            #[resource(kind = $kind)]
            struct $ident {
                #[resource(name)]
                name: $name,
                required: $name,
                optional: Option<$size>,
                whole: $size,
                #[resource(default = $default)]
                text: $name,
                #[resource(default = $number)]
                count: u8,
                #[resource(send)]
                sent: $name,
            }
        };
    }
    kind!(
        #[resource(unwatched)]
        Made,
        "test:made",
        "Made.",
        String,
        Option<u32>,
        "a".repeat(3),
        7
    );
    does_nothing!(Made);

    #[test]
    fn a_kind_can_be_made_by_a_macro() {
        use mgmt::resource::Resource as _;
        let spec = Made::spec();
        assert_eq!((spec.kind, spec.doc, spec.watched, spec.name_field), ("test:made", "Made.", false, "name"));
        let fields: Vec<_> = spec.fields.iter().map(|field| (field.name, field.type_name, field.required)).collect();
        let expected = [
            ("required", "String", true),
            ("optional", "Option<u32>", false),
            ("whole", "u32", false),
            ("text", "String", false),
            ("count", "u8", false),
        ];
        assert_eq!(fields, expected);
        let made = super::read_kind::<Made>(serde_json::json!({ "required": "r" }));
        assert_eq!((made.text.as_str(), made.count, made.whole), ("aaa", 7, None));
    }
}

fn read_kind<R: mgmt::resource::Resource>(data: Json) -> R {
    let Json::Object(mut data) = data else { panic!("an object") };
    let mut problems = Vec::new();
    let read = R::from_data("name", FieldReader::new(R::spec(), &mut data, &[], &mut problems));
    read.unwrap_or_else(|| panic!("{problems:?}"))
}

does_nothing!(House, Clash);

fn house() -> HouseBuilder {
    House::new("1 Main Street", "Ada", Roof::Flat)
}

fn built(builder: HouseBuilder) -> House {
    builder.finish().0
}

fn graph(declare: impl FnOnce(&mut Graph)) -> GraphConfig {
    let mut g = Graph::new("test");
    declare(&mut g);
    g.finish().unwrap()
}

/// The resource at `place` once it has received what the graph's wires make of the values.
fn received(config: &GraphConfig, place: u32, values: &[Value]) -> House {
    let links = config.links.iter().filter(|link| link.to == place);
    let fields = links.map(|link| (link.field, link.wire.receive(values).expect("the type fits").value)).collect();
    let resource = config.vertices[place as usize].resource.with_received(fields).expect("the type fits");
    resource.as_any().downcast_ref::<House>().unwrap().clone()
}

fn read(data: Json, wired: &[u8]) -> (Option<House>, Vec<FieldProblem>) {
    let Json::Object(mut data) = data else { panic!("an object") };
    let mut problems = Vec::new();
    let house = House::from_data("1 Main Street", FieldReader::new(House::spec(), &mut data, wired, &mut problems));
    (house, problems)
}

#[test]
fn what_is_not_set_has_its_default() {
    let house = built(house());
    assert_eq!((house.address.as_str(), house.architect.as_str(), &house.roof), ("1 Main Street", "Ada", &Roof::Flat));
    assert_eq!((house.rooms, house.tags.len(), house.floors, house.colour.as_str()), (None, 0, 2, "green"));
    assert_eq!((house.limit, &house.key, &house.r#type), (Some(7), &None, &None));
    assert_eq!((house.r#loop, house.number.as_str()), (0, ""));
}

#[test]
fn setters_take_values_in_the_forms_that_the_type_accepts() {
    let house = built(
        house().rooms(3).tags(["old", "big"]).floors(4).colour(String::from("red")).limit(None).key("k").r#type('x'),
    );
    assert_eq!(
        (house.rooms, house.tags.as_slice(), house.floors),
        (Some(3), &["old".to_owned(), "big".to_owned()][..], 4)
    );
    assert_eq!((house.colour.as_str(), house.limit, house.r#type.as_deref()), ("red", None, Some("x")));
    assert_eq!(house.key.as_ref().map(|key| key.declassify().as_str()), Some("k"));
}

#[test]
fn setters_of_optional_fields_and_of_fields_with_a_default_take_what_may_be_missing() {
    let (some, none) = (Some("red"), None::<String>);
    let house = built(house().rooms(Some(3)).rooms(None::<u32>).colour(some).r#type(Some(String::from("barn"))));
    assert_eq!((house.rooms, house.colour.as_str(), house.r#type.as_deref()), (None, "red", Some("barn")));
    let house = built(self::house().colour("red").colour(none).floors(Some(9)).floors(None::<u8>).limit(Some(1)));
    assert_eq!(
        (house.colour.as_str(), house.floors, house.limit),
        ("green", 2, Some(1)),
        "as if it had not been called"
    );
}

#[test]
fn an_output_that_may_be_missing_wires_a_field_or_does_not() {
    let mut lines = Vec::new();
    let config = graph(|g| {
        let first = g.add(house());
        g.add(House::new("there", "Ada", Roof::Flat).colour(Some(first.number())));
        lines.push(line!() - 1);
        g.add(House::new("missing", "Ada", Roof::Flat).colour(first.number()).colour(None::<Output<String>>));
        g.add(House::new("optional", "Ada", Roof::Flat).r#type(Some(first.number().map(|number| number + "a"))));
    });
    assert_eq!(config.links.iter().map(|link| link.to).collect::<Vec<_>>(), [1, 3]);
    let origin = config.links[0].wire.origin.to_string();
    assert!(origin.contains(&format!("derive.rs:{}", lines[0])), "the caller's line: {origin}");
}

/// A kind with lengths of time.
#[derive(Resource, Clone, Debug, PartialEq)]
#[resource(kind = "test:times")]
struct Times {
    #[resource(name)]
    name: String,
    every: std::time::Duration,
    until: Option<std::time::Duration>,
    pauses: Vec<Seconds>,
}
does_nothing!(Times);

#[test]
fn a_length_of_time_is_a_number_of_seconds_in_data() {
    let pauses = vec![Seconds(Duration::from_secs(3))];
    let (times, _) = Times::new("t", Duration::from_millis(1500), pauses).until(Duration::from_secs(60)).finish();
    let data = Json::Object(times.to_data(&[]).unwrap());
    assert_eq!(data, json!({ "every": 1.5, "until": 60, "pauses": [3] }));
    let mut generator = schemars::SchemaGenerator::default();
    for field in &Times::spec().fields[..2] {
        let schema = (field.schema)(&mut generator);
        assert_eq!(schema.as_value()["anyOf"][0], json!({ "type": "number", "minimum": 0 }));
    }
    let Json::Object(mut data) = data else { panic!("an object") };
    let mut problems = Vec::new();
    let read = Times::from_data("t", FieldReader::new(Times::spec(), &mut data, &[], &mut problems));
    assert_eq!((read, problems), (Some(times), vec![]));
    let mut data = serde_json::from_value(json!({ "every": "soon", "pauses": [] })).unwrap();
    let mut problems = Vec::new();
    assert_eq!(Times::from_data("t", FieldReader::new(Times::spec(), &mut data, &[], &mut problems)), None);
    let said = problems[0].to_string();
    assert!(said.starts_with("`every`: `soon` is neither a number of seconds, 0 or more, nor a time"), "{said}");
}

#[test]
fn names_of_fields_may_be_those_of_the_code_that_the_derive_makes() {
    let (clash, _) = Clash::new("n", "d", "v", 1).placeholder(2).this(3).data(4).wired(5).reader(6).finish();
    assert_eq!((clash.name.as_str(), clash.draft.as_str(), clash.value.as_str(), clash.wire), ("n", "d", "v", 1));
    assert_eq!(
        (clash.placeholder, clash.this, clash.data, clash.wired, clash.reader),
        (Some(2), Some(3), 4, 5, Some(6))
    );
    let mut data = clash.to_data(&[]).unwrap();
    let mut problems = Vec::new();
    let again = Clash::from_data("n", FieldReader::new(Clash::spec(), &mut data, &[], &mut problems));
    assert_eq!((again, problems), (Some(clash), vec![]));
}

#[test]
fn an_output_wires_optional_fields_and_required_ones() {
    let config = graph(|g| {
        let first = g.add(house());
        let copy = House::new("2 Main Street", first.number(), Roof::Flat).colour(first.number());
        g.add(copy.r#type(first.number().map(|number| number + "a")));
    });
    let fields: Vec<_> = config.links.iter().map(|link| link.field).collect();
    let number = |name| House::spec().field(name).unwrap();
    assert_eq!(fields, [number("architect"), number("colour"), number("type")]);
    let house = received(&config, 1, &[Arc::new("12".to_owned())]);
    assert_eq!((house.architect.as_str(), house.colour.as_str(), house.r#type.as_deref()), ("12", "12", Some("12a")));
    assert_eq!(config.edges.iter().filter(|edge| (edge.from, edge.to) == (0, 1)).count(), 3, "a send is an edge");
}

#[test]
fn a_field_does_not_receive_a_value_of_another_type() {
    let config = graph(|g| {
        let first = g.add(house());
        g.add(House::new("2 Main Street", first.number(), Roof::Flat));
    });
    assert!(config.links[0].wire.receive(&[Arc::new(7_u64)]).is_err());
    let wrong: Box<dyn std::any::Any + Send + Sync> = Box::new(7_u64);
    assert!(config.vertices[1].resource.with_received(vec![(0, wrong)]).is_none());
    assert!(config.vertices[1].resource.with_received(vec![(99, Box::new(7_u64))]).is_none(), "there is no such field");
}

#[test]
fn the_last_setter_wins_whether_it_is_a_value_or_a_wire() {
    let config = graph(|g| {
        let first = g.add(house());
        g.add(House::new("wire, then value", "Ada", Roof::Flat).colour(first.number()).colour("red"));
        g.add(House::new("value, then wire", "Ada", Roof::Flat).colour("red").colour(first.number()));
        g.add(House::new("optional: wire, then value", "Ada", Roof::Flat).r#type(first.number()).r#type("barn"));
        g.add(House::new("optional: value, then wire", "Ada", Roof::Flat).r#type("barn").r#type(first.number()));
    });
    let place = |n: usize| config.vertices[n].resource.as_any().downcast_ref::<House>().unwrap();
    assert_eq!((place(1).colour.as_str(), place(3).r#type.as_deref()), ("red", Some("barn")));
    assert_eq!((place(2).colour.as_str(), place(4).r#type.as_deref()), ("", None), "nothing stands in but a default");
    let wired: Vec<_> = config.links.iter().map(|link| link.to).collect();
    assert_eq!(wired, [2, 4]);
}

#[test]
fn every_field_tells_two_resources_apart_and_no_output_does() {
    type Mutation = (&'static str, fn(&mut House));
    let mutations: &[Mutation] = &[
        ("address", |house| house.address.push('x')),
        ("architect", |house| house.architect.push('x')),
        ("roof", |house| house.roof = Roof::Gabled),
        ("rooms", |house| house.rooms = Some(1)),
        ("tags", |house| house.tags.push("x".to_owned())),
        ("floors", |house| house.floors += 1),
        ("colour", |house| house.colour.push('x')),
        ("limit", |house| house.limit = None),
        ("key", |house| house.key = Some("x".to_owned().into())),
        ("type", |house| house.r#type = Some("x".to_owned())),
    ];
    let fields = House::spec().fields.iter().map(|field| field.name);
    let all: Vec<_> = std::iter::once(House::spec().name_field).chain(fields).collect();
    assert_eq!(mutations.iter().map(|(name, _)| *name).collect::<Vec<_>>(), all, "one mutation for each field");
    let house = built(house());
    assert!(mgmt::resource::AnyResource::same(&house, &house.clone()));
    for (name, mutate) in mutations {
        let mut other = house.clone();
        mutate(&mut other);
        assert!(!mgmt::resource::AnyResource::same(&house, &other), "`{name}` is not compared");
        let mut both = other.clone();
        assert!(mgmt::resource::AnyResource::same(&other, &both), "`{name}` differs from itself");
        (both.r#loop, both.number) = (9, "9".to_owned());
        assert!(mgmt::resource::AnyResource::same(&other, &both), "an output is compared");
    }
    assert!(
        !mgmt::resource::AnyResource::same(&house, &Clash::new("1 Main Street", "", "", 0).finish().0),
        "kinds differ"
    );
}

#[test]
fn a_kind_says_of_itself_what_is_written_on_the_struct() {
    let spec = House::spec();
    assert_eq!((spec.kind, spec.name_field, spec.watched), ("test:house", "address", false));
    assert_eq!(spec.doc, "A house.\nIt stands in a street.");
    let fields: Vec<_> = spec.fields.iter().map(|field| (field.name, field.type_name, field.required)).collect();
    let expected = [
        ("architect", "String", true),
        ("roof", "Roof", true),
        ("rooms", "u32", false),
        ("tags", "Vec<String>", false),
        ("floors", "u8", false),
        ("colour", "String", false),
        ("limit", "Option<u32>", false),
        ("key", "Secret<String>", false),
        ("type", "String", false),
    ];
    assert_eq!(fields, expected);
    assert_eq!(spec.fields[0].doc, "Who built it.");
    assert_eq!((spec.fields[1].doc, spec.fields[8].doc), ("", "A word that Rust keeps for itself."));
    let outputs: Vec<_> = spec.outputs.iter().map(|output| (output.name, output.type_name, output.doc)).collect();
    assert_eq!(outputs, [("loop", "u64", ""), ("number", "String", "The number on the door.")]);
    assert_eq!((House::LOOP.number(), House::NUMBER.number(), House::NUMBER.name()), (0, 1, "number"));
    assert!(Clash::spec().watched, "a kind may have a watch unless it says otherwise");
}

#[test]
fn fields_become_data_and_the_same_resource_again() {
    let plain = built(house());
    assert_eq!(Json::Object(plain.to_data(&[]).unwrap()), json!({ "architect": "Ada", "roof": "flat" }), "no defaults");
    for house in [
        plain,
        built(house().rooms(3).tags(["a"]).floors(0).colour("").limit(None).r#type("barn")),
        built(house().limit(Some(8))),
    ] {
        let data = house.to_data(&[]).unwrap();
        let (again, problems) = read(Json::Object(data.clone()), &[]);
        assert_eq!((again.as_ref(), problems), (Some(&house), vec![]), "{data:?}");
    }
}

#[test]
fn what_is_received_is_not_written_and_need_not_be_given() {
    let number = |name| House::spec().field(name).unwrap();
    let wired = [number("architect"), number("colour")];
    let data = built(house().colour("red").rooms(1)).to_data(&wired).unwrap();
    assert_eq!(Json::Object(data.clone()), json!({ "roof": "flat", "rooms": 1 }));
    let (house, problems) = read(Json::Object(data), &wired);
    assert_eq!(problems, []);
    assert_eq!(house.map(|house| house.architect), Some(String::new()));
}

#[test]
fn a_required_field_without_a_default_is_received_by_nobody() {
    let (house, problems) = read(json!({ "architect": "Ada" }), &[House::spec().field("roof").unwrap()]);
    assert!(house.is_none());
    assert_eq!(problems[0].problem, "`roof` can't be received: its type has no default");
}

#[test]
fn a_secret_is_a_placeholder_in_data_and_in_debug_output() {
    let house = built(house().key("canary"));
    let data = Json::Object(house.to_data(&[]).unwrap());
    assert_eq!(data["key"], SECRET_PLACEHOLDER);
    assert!(!format!("{house:?} {:?}", self::house().key("canary")).contains("canary"));
}

#[test]
fn null_is_a_field_left_out_unless_its_type_has_a_null_of_its_own() {
    let (house, problems) =
        read(json!({ "architect": "Ada", "roof": "flat", "rooms": null, "floors": null, "limit": null }), &[]);
    assert_eq!(problems, []);
    let house = house.unwrap();
    assert_eq!((house.rooms, house.floors, house.limit), (None, 2, None));
}

#[test]
fn all_that_is_wrong_with_a_resource_given_as_data_is_told_at_once() {
    let data = json!({ "roof": "round", "rooms": "three", "flors": 3, "garden": true });
    let (house, problems) = read(data, &[]);
    assert!(house.is_none());
    let told: Vec<_> =
        problems.iter().map(|problem| (problem.field.as_str(), problem.key, problem.to_string())).collect();
    let fields = "`architect`, `roof`, `rooms`, `tags`, `floors`, `colour`, `limit`, `key`, `type`";
    assert_eq!(
        told,
        [
            ("architect", true, "test:house needs `architect`".to_owned()),
            ("roof", false, "`roof`: unknown variant `round`, expected `flat` or `gabled`".to_owned()),
            ("rooms", false, "`rooms`: invalid type: string \"three\", expected u32".to_owned()),
            ("flors", true, "test:house has no field `flors`: did you mean `floors`?".to_owned()),
            ("garden", true, format!("test:house has no field `garden`: its fields are {fields}")),
        ]
    );
}

#[test]
fn a_kind_reads_its_resources_for_whoever_knows_its_name_alone() {
    let kinds = Kinds::none().with::<House>().with::<Clash>();
    let kind = kinds.find("Test:House").unwrap();
    let mut data: Map<String, Json> = serde_json::from_value(json!({ "architect": "Ada", "roof": "flat" })).unwrap();
    let mut problems = Vec::new();
    let read = kind.read("1 Main Street", &mut data, &[], &mut problems).unwrap();
    assert!(read.same(&built(house())));
    assert_eq!(Kind::of::<House>().spec.kind, "test:house");
    assert_eq!(kinds.find("test:hose").unwrap_err(), "there is no kind `test:hose`: did you mean `test:house`?");
    assert_eq!(kinds.find("roof").unwrap_err(), "there is no kind `roof`: there are `test:clash`, `test:house`");
}

#[test]
fn a_builder_can_be_copied_as_a_pattern() {
    let pattern = house().rooms(3).retry(2);
    let (one, two) = (pattern.clone(), pattern.floors(9));
    let (one, draft) = one.finish();
    assert_eq!((one.rooms, one.floors, draft.meta.retry), (Some(3), 2, 2));
    assert_eq!(built(two).floors, 9);
}
