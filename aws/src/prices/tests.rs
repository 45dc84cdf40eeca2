//! Answers of the documented form, read.

use super::*;

const DATE: &str = "2026-11-25";
const CALL: Call<'_> = Call { service: PRICE_LIST, action: "GetProducts", resource: "AmazonS3" };

/// An answer with one product, whose tiers are (from, dollars).
fn answer(usage_type: &str, tiers: &[(&str, &str)]) -> Value {
    let dimension = |(at, (begin, usd)): (usize, &(&str, &str))| {
        let dimension = json!({"unit": "Requests", "beginRange": begin, "endRange": "Inf", "description": "x",
            "appliesTo": [], "rateCode": format!("S.J.{at}"), "pricePerUnit": {"USD": usd}});
        (format!("S.J.{at}"), dimension)
    };
    let dimensions: serde_json::Map<String, Value> = tiers.iter().enumerate().map(dimension).collect();
    let product = json!({
        "product": {"productFamily": "API Request", "sku": "S",
            "attributes": {"servicecode": "AmazonS3", "regionCode": "eu-central-1", "usagetype": usage_type}},
        "serviceCode": "AmazonS3",
        "terms": {"OnDemand": {"S.J": {"sku": "S", "effectiveDate": "2026-11-01T00:00:00Z", "offerTermCode": "J",
            "termAttributes": {}, "priceDimensions": dimensions}}},
        "version": "20261101000000", "publicationDate": "2026-11-01T09:22:25Z",
    });
    json!({"FormatVersion": "aws_v1", "PriceList": [product.to_string()], "NextToken": ""})
}

fn of(service: &str, item: &str) -> ListedItem {
    let all = listed_items(&["g6.xlarge".to_owned()]);
    all.into_iter().find(|wanted| wanted.service == service && wanted.item == item).unwrap()
}

fn price(item: &ListedItem, answer: &Value) -> Option<Price> {
    let products = products(CALL, answer).unwrap();
    products.iter().find_map(|product| item.price("eu-central-1", DATE, product))
}

#[test]
fn a_list_price_is_read_in_the_unit_of_the_book() {
    let wanted = of("S3", "PUT, COPY, POST, LIST");
    let price = price(&wanted, &answer("EUC1-Requests-Tier1", &[("0", "0.0000054000")])).unwrap();
    assert_eq!((price.usd, price.unit.as_str()), (0.0054, "1k requests"));
    assert_eq!(price.source, "AWS Price List, AmazonS3 EUC1-Requests-Tier1, published 2026-11-01T09:22:25Z");
    assert_eq!((price.date.as_str(), price.confidence), (DATE, Confidence::A));
}

#[test]
fn requests_to_kms_are_those_of_symmetric_keys() {
    let wanted = of("KMS", "requests");
    let of_type = |usage_type| price(&wanted, &answer(usage_type, &[("0", "0.0000030000")]));
    let found = of_type("eu-central-1-KMS-Requests").unwrap();
    assert_eq!((found.usd, found.unit.as_str()), (0.03, "10k requests"));
    assert_eq!(of_type("eu-central-1-KMS-Requests-Asymmetric"), None);
}

#[test]
fn of_tiers_the_first_that_costs_anything_holds() {
    let tiers = [("100000000000", "0.0000003000"), ("0", "0.0000000000"), ("1000000", "0.0000004000")];
    let price = price(&of("SQS", "standard queues"), &answer("EUC1-Requests-Tier1", &tiers)).unwrap();
    assert_eq!(price.usd, 0.4);
}

#[test]
fn another_usage_type_or_a_price_of_zero_is_no_price() {
    let wanted = of("S3", "PUT, COPY, POST, LIST");
    assert_eq!(price(&wanted, &answer("EUC1-Requests-INT-Tier4", &[("0", "1")])), None);
    assert_eq!(price(&wanted, &answer("EUC1-Requests-Tier1", &[("0", "0.0000000000")])), None);
    assert!(products(CALL, &json!({"PriceList": [{}]})).is_err());
    assert!(products(CALL, &json!({})).is_err());
}

#[test]
fn a_machine_is_asked_for_by_what_distinguishes_it() {
    let wanted = of("EC2", "g6.xlarge on-demand");
    let filters = filters(&wanted, "us-east-2");
    assert_eq!(filters[0], json!({"Type": "TERM_MATCH", "Field": "instanceType", "Value": "g6.xlarge"}));
    assert_eq!(filters.last().unwrap()["Value"], "us-east-2");
    assert_eq!(
        price(&wanted, &answer("USE2-BoxUsage:g6.xlarge", &[("0", "0.8048000000")])).unwrap().usd,
        0.8048
    );
}

#[test]
fn of_spot_prices_the_latest_of_each_zone_holds() {
    let answer = "<DescribeSpotPriceHistoryResponse xmlns='http://ec2.amazonaws.com/doc/2016-11-15/'>
        <requestId>r</requestId><spotPriceHistorySet>
        <item><instanceType>g6.xlarge</instanceType><productDescription>Linux/UNIX</productDescription>
        <spotPrice>0.360000</spotPrice><timestamp>2026-11-25T08:00:00.000Z</timestamp>
        <availabilityZone>us-east-1a</availabilityZone></item>
        <item><instanceType>g6.xlarge</instanceType><productDescription>Linux/UNIX</productDescription>
        <spotPrice>0.350000</spotPrice><timestamp>2026-11-25T07:00:00.000Z</timestamp>
        <availabilityZone>us-east-1a</availabilityZone></item>
        <item><instanceType>g6.xlarge</instanceType><productDescription>Linux/UNIX</productDescription>
        <spotPrice>0.550000</spotPrice><timestamp>2026-11-25T06:00:00.000Z</timestamp>
        <availabilityZone>us-east-1b</availabilityZone></item>
        </spotPriceHistorySet><nextToken/></DescribeSpotPriceHistoryResponse>";
    let mut latest = BTreeMap::new();
    add_spot_prices(&mut latest, &Element::parse(answer).unwrap());
    let now = "2026-11-25T09:00:00Z";
    let prices: Vec<Price> =
        latest.into_iter().filter_map(|(spot, change)| spot.price("us-east-1", now, &change)).collect();
    let found: Vec<(&str, f64)> = prices.iter().map(|price| (price.item.as_str(), price.usd)).collect();
    assert_eq!(found, [("g6.xlarge spot us-east-1a", 0.36), ("g6.xlarge spot us-east-1b", 0.55)]);
    assert_eq!(prices[0].date, DATE);
}
