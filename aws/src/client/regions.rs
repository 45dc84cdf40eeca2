//! The places that AWS names its regions after, for people who give the place as the region.
//!
//! Only a hint in an error: no region is ever chosen by it.

/// As the console shows them, in lower case; from AWS's list of regions and their names.
const PLACES: [(&str, &str); 26] = [
    ("virginia", "us-east-1"),
    ("ohio", "us-east-2"),
    ("california", "us-west-1"),
    ("oregon", "us-west-2"),
    ("canada", "ca-central-1"),
    ("montreal", "ca-central-1"),
    ("sao paulo", "sa-east-1"),
    ("frankfurt", "eu-central-1"),
    ("zurich", "eu-central-2"),
    ("ireland", "eu-west-1"),
    ("dublin", "eu-west-1"),
    ("london", "eu-west-2"),
    ("paris", "eu-west-3"),
    ("stockholm", "eu-north-1"),
    ("milan", "eu-south-1"),
    ("spain", "eu-south-2"),
    ("mumbai", "ap-south-1"),
    ("singapore", "ap-southeast-1"),
    ("sydney", "ap-southeast-2"),
    ("jakarta", "ap-southeast-3"),
    ("tokyo", "ap-northeast-1"),
    ("seoul", "ap-northeast-2"),
    ("osaka", "ap-northeast-3"),
    ("hong kong", "ap-east-1"),
    ("bahrain", "me-south-1"),
    ("cape town", "af-south-1"),
];

/// The region that has this place in its name.
pub(super) fn of_place(text: &str) -> Option<&'static str> {
    let text = text.to_lowercase().replace(['-', '_'], " ");
    PLACES.iter().find(|(place, _)| text.contains(place)).map(|(_, region)| *region)
}

#[test]
fn places_are_found_however_they_are_written() {
    assert_eq!(of_place("Frankfurt"), Some("eu-central-1"));
    assert_eq!(of_place("eu-ireland"), Some("eu-west-1"));
    assert_eq!(of_place("cape_town"), Some("af-south-1"));
    assert_eq!(of_place("nowhere"), None);
}
