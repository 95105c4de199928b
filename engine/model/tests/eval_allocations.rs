//! Columns, constants, comparisons and arithmetic allocate nothing.

mod eval_support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use anabranch_model::{
    Column, ColumnId, Comparison, Expr, ExprKind, Frame, Function, Operator, RowSlot, RowWriter, Shape, Type,
    Value, eval,
};
use eval_support::{DECIMAL, binary, call, compare, constant, context, expr};

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator as it is.
#[expect(unsafe_code, reason = "an allocator cannot be written without")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Allocations of one evaluation over a row of a text, an int and a decimal.
fn allocations(expr: &Expr) -> usize {
    let column = |ty: Type| Column { name: ty.to_string(), ty, nullable: false, default: None };
    let shape = Arc::new(Shape::new(vec![column(Type::Text), column(Type::Int), column(DECIMAL)]));
    let mut input = Vec::new();
    let mut writer = RowWriter::new(&mut input, &shape);
    let decimal = "1.5".parse().expect("a decimal");
    for value in [Value::from("anabranch"), Value::Int(7), Value::Decimal(decimal)] {
        writer.value(&value).expect("of its type");
    }
    writer.finish().expect("a row");
    let (context, shapes) = (context(), [shape]);
    let frame =
        Frame { input: &input, rows: &[], candidate: None, shapes: &shapes, lets: &[], context: &context };
    let before = ALLOCATIONS.get();
    assert!(eval::evaluate(expr, &frame).is_ok_and(|value| !value.is_null()));
    ALLOCATIONS.get() - before
}

fn column(at: u16, ty: Type) -> Expr {
    expr(ExprKind::Column(RowSlot(0), ColumnId(at)), ty)
}

#[test]
fn plain_expressions_allocate_nothing() {
    let (text, int, decimal) = (|| column(0, Type::Text), || column(1, Type::Int), || column(2, DECIMAL));
    let same = compare(Comparison::Equal, text(), constant("'anabranch'"));
    let ranges = expr(
        ExprKind::Between(Box::new(int()), Box::new(constant("1")), Box::new(constant("9"))),
        Type::Bool,
    );
    for plain in [
        text(),
        constant("'text'"),
        binary(Operator::Add, int(), constant("1"), Type::Int),
        binary(Operator::Multiply, decimal(), decimal(), DECIMAL),
        binary(Operator::Divide, decimal(), decimal(), DECIMAL),
        expr(ExprKind::And(vec![same, ranges]), Type::Bool),
        expr(ExprKind::Like(Box::new(text()), Box::new(constant("'a%'"))), Type::Bool),
        expr(ExprKind::In(Box::new(int()), vec![constant("1"), constant("7")]), Type::Bool),
        call(Function::Substring, vec![text(), constant("2"), constant("3")], Type::Text),
        call(Function::Coalesce, vec![constant("null"), text()], Type::Text),
        expr(ExprKind::Node, Type::Text),
    ] {
        assert_eq!(allocations(&plain), 0, "{plain:?}");
    }
}

#[test]
fn allocations_are_counted() {
    let upper = call(Function::Upper, vec![column(0, Type::Text)], Type::Text);
    assert!(allocations(&upper) > 0);
}
