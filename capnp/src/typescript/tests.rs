use super::*;
use crate::fixtures;

#[test]
fn declares_servers_clients_and_structs() {
    let text = generate(&fixtures::schema());
    for line in [
        "declare module \"isolith:fixture\" {",
        "      small(params: Fixture.SmallParams, ctx: Context): Promise<Fixture.SmallResultsInit> | Fixture.SmallResultsInit;",
        "      small(params: Fixture.SmallParamsInit): Promise<Fixture.SmallResults>;",
        "      then(params?: Fixture.ThenParamsInit): Promise<Fixture.ThenResults>;",
        "  export type Color = \"red\" | \"green\" | \"blue\";",
        "    readonly number: number | undefined;",
        "    which(): \"none\" | \"number\" | \"word\" | \"pair\" | undefined;",
        "    readonly users: List<User, UserObject>;",
        "    users?: Iterable<UserInit> | null | undefined;",
        "    readonly place: Kinds.Place;",
        "    friend?: UserObject;",
        "    interface Server extends Closing.Server, Named.Server, Watcher.Server {",
        "      user(params?: Session.UserParamsInit): Promise<Session.UserResults>;",
        "      session(params?: Session.SessionParamsInit): Promise<Session.SessionResults> & Session.SessionResultsPipeline & Session.Client;",
        "      push(params: Fixture.PushParamsInit): Promise<void>;",
        "    readonly owner: Session.Client | null;",
        "    owner?: Session.Client | Session.Server | null | undefined;",
        "      others?: Iterable<Watcher.Client | Watcher.Server | null | undefined> | null | undefined;",
        "  export interface EntryPipeline {",
        "    readonly next: EntryPipeline;",
        "    interface Client<V extends Type = Any> {",
        "      put(params: Store.PutParamsInit<V>): Promise<Store.PutResults<V>>;",
        "  export interface Tree<T extends Type = Any> {",
        "    readonly value: T[\"read\"];",
        "    readonly children: List<Tree<T>, TreeObject<T>>;",
        "    toObject(): TreeObject<T>;",
        "      readonly next: Tree<Type<import(\"isolith:fixture\").Pair<T, Type<string, string, string>>, import(\"isolith:fixture\").PairInit<T, Type<string, string, string>>, import(\"isolith:fixture\").PairObject<T, Type<string, string, string>>>>;",
        "      readonly store: Store.Client<Type<User, UserInit, UserObject>>;",
        "    any?: AnyPointerInit | null | undefined;",
        "  export const limit: number;",
        "  export const delete_: string[];",
        "  export const admin: UserObject;",
        "    export const most: bigint;",
        "    const typeId: string;",
        "    const type: Type<User, UserInit, UserObject>;",
        "    const type: Type<Color, Color, Color>;",
        "    readonly which_: number | undefined;",
        "    which(): \"which_\" | \"toObject_\" | undefined;",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line}\nis not in\n{text}"
        );
    }
    assert_eq!(text.matches('{').count(), text.matches('}').count());
}
