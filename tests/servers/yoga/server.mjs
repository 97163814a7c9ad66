// A GraphQL server: users to look up and add, errors with codes, and a Relay connection. server.mjs PORT
import { createServer } from 'node:http'
import { GraphQLError } from 'graphql'
import { createSchema, createYoga } from 'graphql-yoga'

const typeDefs = /* GraphQL */ `
  type User { id: ID! name: String! nickname: String }
  input UserInput { name: String! nickname: String }
  type Item { id: ID! number: Int! }
  type PageInfo { hasNextPage: Boolean! hasPreviousPage: Boolean! startCursor: String endCursor: String }
  type ItemEdge { cursor: String! node: Item! }
  type ItemConnection { edges: [ItemEdge!]! nodes: [Item!]! pageInfo: PageInfo! totalCount: Int! }
  type Query {
    user(id: ID!): User
    say(text: String!, number: Float, flags: [Boolean!]): String!
    fail(code: String!): String
    items(first: Int = 10, after: String): ItemConnection!
  }
  type Mutation { addUser(user: UserInput!): User! }
`

const refused = (message, code) => new GraphQLError(message, { extensions: { code } })
const users = new Map([['1', { id: '1', name: 'Ann' }]])
const ITEMS = Array.from({ length: 57 }, (_, i) => ({ id: `item-${i + 1}`, number: i + 1 }))
const cursor = (item) => Buffer.from(`at:${item.number}`).toString('base64')

const resolvers = {
  User: {
    nickname: (user) => {
      if (user.nickname) return user.nickname
      throw refused(`${user.name} has no nickname`, 'NOT_FOUND')
    },
  },
  Query: {
    user: (_, { id }) => users.get(id) ?? null,
    say: (_, given) => JSON.stringify(given),
    fail: (_, { code }) => {
      throw refused(`as you wish: ${code}`, code)
    },
    items: (_, { first, after }) => {
      const number = after ? Number(/^at:(\d+)$/.exec(Buffer.from(after, 'base64'))?.[1]) : 0
      if (Number.isNaN(number)) throw refused('no such cursor', 'BAD_USER_INPUT')
      const nodes = ITEMS.slice(number, number + first)
      return {
        nodes,
        edges: nodes.map((node) => ({ node, cursor: cursor(node) })),
        totalCount: ITEMS.length,
        pageInfo: {
          hasNextPage: number + nodes.length < ITEMS.length,
          hasPreviousPage: number > 0,
          startCursor: nodes.length ? cursor(nodes[0]) : null,
          endCursor: nodes.length ? cursor(nodes.at(-1)) : null,
        },
      }
    },
  },
  Mutation: {
    addUser: (_, { user }) => {
      const added = { ...user, id: String(users.size + 1) }
      users.set(added.id, added)
      return added
    },
  },
}

const yoga = createYoga({
  schema: createSchema({ typeDefs, resolvers }),
  graphiql: false,
  landingPage: false,
  logging: false,
})
createServer(yoga).listen(Number(process.argv[2]), '127.0.0.1')
