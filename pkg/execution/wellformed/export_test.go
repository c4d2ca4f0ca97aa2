package wellformed

var TypeOfField = typeOfField
